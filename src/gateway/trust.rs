//! The certificate authorities that this machine trusts by default.

use std::path::Path;

/// Where OpenWrt (`ca-bundle`), Debian, Alpine and others install the CA certificates.
const CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The file with the certificates of the public authorities; `None` if none is installed.
pub fn ca_file() -> Option<&'static Path> {
    CA_FILES.iter().map(Path::new).find(|p| p.exists())
}
