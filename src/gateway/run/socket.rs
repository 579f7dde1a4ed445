//! The status socket: one JSON line in, one JSON line out.

use linekeeper_contract::json;
use serde_json::{Value, json};
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

/// The longest request taken. A reason of some sentences fits.
pub const REQUEST_MOST: u64 = 4 * 1024;
/// How long a peer may take to say what it wants. A person does not type into this socket.
const PATIENCE: Duration = Duration::from_secs(2);
/// Requests waiting at a time.
const WAITING: usize = 8;

json::tagged! {
    /// What may be asked.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum Request = "Request" by "request" {
        /// How the line does.
        Status,
        /// The customer asks to be called.
        Callback {
            /// In their words; may be empty.
            #[serde(default)]
            reason: String,
        },
        /// Leaps over what is only waited for, until the next speed test begins.
        #[cfg(feature = "lab")]
        Hasten,
        /// Lets the loop hang for good, under a watchdog that looks more often.
        #[cfg(feature = "lab")]
        Wedge,
    }
}

/// A request and where its answer goes.
pub type Asked = (Request, oneshot::Sender<Value>);

/// Why nobody can ask at the socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deaf {
    /// Another linekeeper listens there, in words.
    Another(String),
    /// The socket cannot be made, in words.
    Trouble(String),
}

/// Listens at `path`.
///
/// # Errors
/// Says whether another linekeeper is at work, or what else is wrong.
pub fn listen(path: &Path) -> Result<mpsc::Receiver<Asked>, Deaf> {
    let listener = match UnixListener::bind(path) {
        Ok(listener) => listener,
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                let words = format!("another linekeeper listens at {}; stop it first", path.display());
                return Err(Deaf::Another(words));
            }
            // Left behind by a life that was killed. Anything else is not ours to delete.
            if !std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
                let words =
                    format!("{} is no socket and stays as it is; change status.socket", path.display());
                return Err(Deaf::Trouble(words));
            }
            std::fs::remove_file(path)
                .and_then(|()| UnixListener::bind(path))
                .map_err(|e| trouble(path, &e))?
        }
        Err(e) => return Err(trouble(path, &e)),
    };
    // Owner and group: whoever may ask may also make the operator call.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(|e| trouble(path, &e))?;
    let (tx, rx) = mpsc::channel(WAITING);
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    tokio::spawn(serve(stream, tx.clone()));
                }
                Err(e) => {
                    warn!("status socket: {e}");
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    });
    Ok(rx)
}

fn trouble(path: &Path, e: &io::Error) -> Deaf {
    Deaf::Trouble(format!(
        "cannot listen at {}: {e}; set status.socket to a path in a directory that may be written",
        path.display()
    ))
}

async fn serve(mut stream: UnixStream, ask: mpsc::Sender<Asked>) {
    let answer = match tokio::time::timeout(PATIENCE, read(&mut stream)).await {
        Ok(Ok(request)) => {
            let (tx, rx) = oneshot::channel();
            match ask.try_send((request, tx)) {
                Ok(()) => rx.await.unwrap_or_else(|_| json!({"error": "the daemon is ending"})),
                Err(_) => json!({"error": "too many requests at once; try again"}),
            }
        }
        Ok(Err(why)) => json!({ "error": why }),
        Err(_) => json!({"error": "no request came within 2 s"}),
    };
    let mut line = answer.to_string();
    line.push('\n');
    if let Err(e) = stream.write_all(line.as_bytes()).await {
        debug!("status socket: the answer was not taken: {e}");
    }
}

async fn read(stream: &mut UnixStream) -> Result<Request, String> {
    let mut line = String::new();
    let mut reader = BufReader::new(stream.take(REQUEST_MOST));
    let n = reader.read_line(&mut line).await.map_err(|e| format!("the request is not readable: {e}"))?;
    if n as u64 == REQUEST_MOST && !line.ends_with('\n') {
        return Err(format!("the request is longer than {REQUEST_MOST} bytes"));
    }
    let request = json::parse(line.as_bytes()).and_then(|tree| {
        let mut keys = tree.as_object().into_iter().flat_map(|entries| entries.keys());
        match keys.find(|key| !["request", "reason"].contains(&key.as_str())) {
            Some(key) => Err(serde::de::Error::custom(format_args!("unknown field {key:?}"))),
            None => json::from_tree(&tree),
        }
    });
    request.map_err(|e| {
        format!("not a request: {e}; expected {{\"request\":\"status\"}} or {{\"request\":\"callback\",\"reason\":\"…\"}}")
    })
}

/// Asks the daemon at `path`.
///
/// # Errors
/// In words: nobody listens, no answer, not an answer.
pub fn ask(path: &Path, request: &Request) -> Result<Value, String> {
    use std::io::{BufRead, BufReader, Write};
    let asking = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!(
                "no linekeeper runs here ({}: {e}); start it, or name its socket with --socket",
                path.display()
            )
        }
        io::ErrorKind::PermissionDenied => format!("may not ask at {}: {e}; try as root", path.display()),
        _ => format!("cannot ask at {}: {e}", path.display()),
    };
    let mut stream = std::os::unix::net::UnixStream::connect(path).map_err(asking)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(asking)?;
    let mut line = json::write(request).map_err(|e| format!("cannot write the request: {e}"))?;
    line.push('\n');
    stream.write_all(line.as_bytes()).map_err(asking)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(asking)?;
    let value: Value = json::parse(answer.as_bytes())
        .map_err(|e| format!("the daemon's answer is not JSON: {e}: {answer:?}"))?;
    match value.get("error").and_then(Value::as_str) {
        Some(why) => Err(why.to_string()),
        None => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_at_is_replaced() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("precious");
        std::fs::write(&file, "data").unwrap();
        assert!(matches!(listen(&file), Err(Deaf::Trouble(why)) if why.contains("is no socket")));
        let link = room.path().join("link");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(matches!(listen(&link), Err(Deaf::Trouble(_))));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "data");
        let socket = room.path().join("socket");
        let ours = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(listen(&socket), Err(Deaf::Another(_))));
        drop(ours);
        assert!(listen(&socket).is_ok());
    }
}
