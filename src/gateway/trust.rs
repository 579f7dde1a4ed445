//! Whom this machine trusts by itself.

use std::path::Path;

/// Where authorities' certificates lie on OpenWrt (`ca-bundle`), Debian, Alpine and others.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem", "/etc/pki/tls/certs/ca-bundle.crt"];

/// The file with the certificates of public authorities, if one is installed.
pub fn authorities() -> Option<&'static Path> {
    AUTHORITIES.iter().map(Path::new).find(|p| p.exists())
}
