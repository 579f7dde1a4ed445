//! Reads Rust well enough to say what a file mentions: full paths, with `use` groups, renames, globs, `self` and
//! `super` followed, and nothing from comments or strings.

use std::collections::BTreeMap;

/// What one file mentions.
#[derive(Debug, Default)]
pub struct Mentions {
    /// Full paths and the line each is on: `std::time::Instant::now`, `crate::judge`. One that ends in `*` is a glob.
    pub paths: Vec<(String, usize)>,
    /// Methods called: `elapsed` for `.elapsed(`.
    pub methods: Vec<(String, usize)>,
    /// Macros: `println` for `println!`.
    pub macros: Vec<(String, usize)>,
    /// All words, keywords among them.
    pub words: Vec<(String, usize)>,
    /// Modules declared without a body (`mod lab;`), and the `cfg` features named in the attributes before each.
    pub modules: Vec<(String, Vec<String>, usize)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    /// `::`
    Path,
    Mark(char),
}

/// Says what `source` mentions; it is the file of module `module`: `["judge", "outage"]`.
pub fn mentions(source: &str, module: &[&str]) -> Mentions {
    let tokens = tokens(source);
    let mut found = Mentions::default();
    let mut raw: Vec<(Vec<String>, usize)> = Vec::new();
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // The modules that are open at this place, with the depth of braces at which each began.
    let mut inside: Vec<(String, usize)> = Vec::new();
    let mut depth = 0usize;
    let mut features: Vec<String> = Vec::new();
    let mut at = 0;
    let word = |at: usize| match tokens.get(at) {
        Some((Token::Word(word), _)) => Some(word.as_str()),
        _ => None,
    };
    let mark = |at: usize, c: char| matches!(tokens.get(at), Some((Token::Mark(m), _)) if *m == c);
    let path_sign = |at: usize| matches!(tokens.get(at), Some((Token::Path, _)));
    while let Some((token, line)) = tokens.get(at) {
        let line = *line;
        let here: Vec<String> =
            module.iter().map(|m| (*m).to_owned()).chain(inside.iter().map(|(m, _)| m.clone())).collect();
        match token {
            Token::Mark('{') => depth += 1,
            Token::Mark('}') => {
                depth = depth.saturating_sub(1);
                inside.retain(|(_, began)| *began < depth);
                features.clear();
            }
            Token::Mark(';') => features.clear(),
            // `feature = "x"`, in an attribute.
            Token::Text(text) if at >= 2 && mark(at - 1, '=') && word(at - 2) == Some("feature") => {
                features.push(text.clone());
            }
            Token::Word(name) => {
                found.words.push((name.clone(), line));
                if name == "mod" && word(at + 1).is_some() {
                    let child = word(at + 1).unwrap_or_default().to_owned();
                    if mark(at + 2, '{') {
                        inside.push((child, depth));
                    } else {
                        found.modules.push((child, features.clone(), line));
                    }
                    features.clear();
                    at += 2;
                    continue;
                }
                if name == "use" {
                    let mut imports = Vec::new();
                    at = use_tree(&tokens, at + 1, &[], &mut imports);
                    for (path, rename, line) in imports {
                        let path = absolute(path, &here);
                        if let Some(rename) = rename {
                            names.insert(rename, path.clone());
                        }
                        raw.push((path, line));
                    }
                    continue;
                }
                if mark(at + 1, '!') && !mark(at + 2, '=') {
                    found.macros.push((name.clone(), line));
                }
                let after_dot = at > 0 && mark(at - 1, '.');
                // `a..b` is a range.
                if after_dot && !(at > 1 && mark(at - 2, '.')) {
                    found.methods.push((name.clone(), line));
                } else {
                    let mut path = vec![name.clone()];
                    let mut end = at;
                    while path_sign(end + 1) {
                        let Some(next) = word(end + 2) else { break };
                        path.push(next.to_owned());
                        end += 2;
                    }
                    for (skipped, line) in tokens[at + 1..=end].iter() {
                        if let Token::Word(word) = skipped {
                            found.words.push((word.clone(), *line));
                        }
                    }
                    if mark(end + 1, '!') && end > at {
                        found.macros.extend(path.last().map(|name| (name.clone(), line)));
                    }
                    raw.push((absolute(path, &here), line));
                    at = end;
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.paths = raw.into_iter().map(|(path, line)| (resolve(path, &names).join("::"), line)).collect();
    found
}

/// `self`, `super` and `crate` followed; the library seen from the binary is `crate`, `core` and `alloc` are `std`.
fn absolute(path: Vec<String>, here: &[String]) -> Vec<String> {
    let mut rest = path.as_slice();
    let mut base: Option<Vec<String>> = None;
    while let [first, tail @ ..] = rest {
        match (first.as_str(), &mut base) {
            ("crate" | "linekeeper", None) => base = Some(Vec::new()),
            ("self", None) => base = Some(here.to_vec()),
            ("super", None) => base = Some(here[..here.len().saturating_sub(1)].to_vec()),
            ("super", Some(base)) => {
                base.pop();
            }
            _ => break,
        }
        rest = tail;
    }
    match base {
        Some(base) => {
            let mut whole = vec!["crate".to_owned()];
            whole.extend(base);
            whole.extend_from_slice(rest);
            whole
        }
        None => {
            let mut path = path;
            if path.len() > 1 && matches!(path[0].as_str(), "core" | "alloc") {
                path[0] = "std".to_owned();
            }
            path
        }
    }
}

/// Replaces an imported first word by what it stands for, over renames of renames.
fn resolve(mut path: Vec<String>, names: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    // Each pass follows one import; a chain longer than the imports is a circle.
    for _ in 0..=names.len() {
        match path.first().and_then(|first| names.get(first)) {
            Some(stands_for) if stands_for.first() != path.first() || stands_for.len() == 1 => {
                if *stands_for == path[..1] {
                    break;
                }
                path.splice(..1, stands_for.iter().cloned());
            }
            _ => break,
        }
    }
    path
}

type Import = (Vec<String>, Option<String>, usize);

/// Takes in one `use` tree from `at`; returns the place behind it.
fn use_tree(tokens: &[(Token, usize)], mut at: usize, before: &[String], out: &mut Vec<Import>) -> usize {
    let mut path = before.to_vec();
    if matches!(tokens.get(at), Some((Token::Path, _))) {
        at += 1;
    }
    loop {
        match tokens.get(at) {
            Some((Token::Word(word), line)) => {
                // `{self, …}` is the path itself.
                if word != "self" || path.is_empty() {
                    path.push(word.clone());
                }
                at += 1;
                match tokens.get(at) {
                    Some((Token::Path, _)) => at += 1,
                    Some((Token::Word(r#as), _)) if r#as == "as" => {
                        let rename = match tokens.get(at + 1) {
                            Some((Token::Word(rename), _)) => Some(rename.clone()),
                            _ => None,
                        };
                        out.push((path, rename, *line));
                        return at + 2;
                    }
                    _ => {
                        let name = path.last().cloned();
                        out.push((path, name, *line));
                        return at;
                    }
                }
            }
            Some((Token::Mark('*'), line)) => {
                path.push("*".to_owned());
                out.push((path, None, *line));
                return at + 1;
            }
            Some((Token::Mark('{'), _)) => {
                at += 1;
                loop {
                    match tokens.get(at) {
                        Some((Token::Mark('}'), _)) => return at + 1,
                        Some((Token::Mark(','), _)) => at += 1,
                        Some((Token::Word(_) | Token::Path | Token::Mark('*' | '{'), _)) => {
                            at = use_tree(tokens, at, &path, out);
                        }
                        // Not Rust: the compiler says so better than we could.
                        _ => return at + 1,
                    }
                }
            }
            _ => return at + 1,
        }
    }
}

/// The words and marks of `source`, without comments; strings keep their text apart.
fn tokens(source: &str) -> Vec<(Token, usize)> {
    let chars: Vec<char> = source.chars().collect();
    let get = |at: usize| chars.get(at).copied().unwrap_or('\0');
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let c = chars[at];
        let begun = line;
        if c == '\n' {
            line += 1;
            at += 1;
        } else if c == '/' && get(at + 1) == '/' {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if c == '/' && get(at + 1) == '*' {
            let mut nested = 0;
            loop {
                match (get(at), get(at + 1)) {
                    ('/', '*') => {
                        nested += 1;
                        at += 2;
                    }
                    ('*', '/') => {
                        nested -= 1;
                        at += 2;
                    }
                    (c, _) => {
                        line += usize::from(c == '\n');
                        at += 1;
                    }
                }
                if nested == 0 || at >= chars.len() {
                    break;
                }
            }
        } else if c == '"' {
            let from = at + 1;
            at = from;
            while at < chars.len() && chars[at] != '"' {
                line += usize::from(chars[at] == '\n');
                // An escaped end of line is still one.
                line += usize::from(chars[at] == '\\' && get(at + 1) == '\n');
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            tokens.push((Token::Text(chars[from..at.min(chars.len())].iter().collect()), begun));
            at += 1;
        } else if c == '\'' {
            // A character, or a lifetime.
            if get(at + 1) == '\\' {
                at += 3;
                while at < chars.len() && chars[at] != '\'' {
                    at += 1;
                }
                at += 1;
            } else if get(at + 2) == '\'' {
                line += usize::from(get(at + 1) == '\n');
                at += 3;
            } else {
                at += 1;
                while part_of_word(get(at)) {
                    at += 1;
                }
            }
        } else if part_of_word(c) {
            let from = at;
            while part_of_word(get(at)) {
                at += 1;
            }
            let word: String = chars[from..at].iter().collect();
            let hashes = chars[at..].iter().take_while(|c| **c == '#').count();
            if matches!(word.as_str(), "r" | "br" | "cr") && get(at + hashes) == '"' {
                let from = at + hashes + 1;
                at = from;
                while at < chars.len() && !(chars[at] == '"' && (1..=hashes).all(|n| get(at + n) == '#')) {
                    line += usize::from(chars[at] == '\n');
                    at += 1;
                }
                tokens.push((Token::Text(chars[from..at.min(chars.len())].iter().collect()), begun));
                at += 1 + hashes;
            } else if word == "r" && hashes == 1 && part_of_word(get(at + 1)) {
                // A raw word: `r#type`.
                at += 1;
            } else {
                tokens.push((Token::Word(word), begun));
            }
        } else if c == ':' && get(at + 1) == ':' {
            tokens.push((Token::Path, begun));
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push((Token::Mark(c), begun));
            }
            at += 1;
        }
    }
    tokens
}
