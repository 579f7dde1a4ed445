//! Text tables with aligned columns.

/// Formats rows under their heads. The first column is aligned left, the others right.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        cells.chain(heads.get(at).map(|head| head.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    let heads: Vec<String> = heads.iter().map(|head| head.to_string()).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = width - cell.chars().count();
            if at == 0 {
                line += cell;
                line += &" ".repeat(gap);
            } else {
                line += "  ";
                line += &" ".repeat(gap);
                line += cell;
            }
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
