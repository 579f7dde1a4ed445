//! TLS to the broker: from files to a configuration, and from errors to words.

use linekeeper_judge::config;
use rumqttc::v5::{ConnectionError, TlsError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::path::Path;
use std::sync::Arc;

/// Reads the files anew at each attempt, so that renewed certificates need no restart.
///
/// # Errors
/// Which file, what is wrong with it, what to try.
pub fn configuration(mqtt: &config::Mqtt) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match (&mqtt.ca, crate::trust::ca_file()) {
        (Some(ca), _) => {
            for certificate in certificates("mqtt.ca", ca)? {
                roots.add(certificate).map_err(|e| {
                    format!(
                        "mqtt.ca {}: a certificate in it cannot be used: {e}; export it anew",
                        ca.display()
                    )
                })?;
            }
        }
        // A public bundle has hundreds, and some that are not understood here are no reason to trust none.
        (None, Some(bundle)) => {
            let certificates = certificates("the system's bundle", bundle)?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(format!("the system's bundle {} holds no usable certificate", bundle.display()));
            }
        }
        (None, None) => {
            return Err("mqtt.ca is missing, and no certificates of public authorities are installed: name the file of \
                        the broker's authority in mqtt.ca, or install ca-bundle (ca-certificates)"
                .into());
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions(mqtt.tls))
        .map_err(|e| format!("TLS cannot be set up: {e}"))?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &mqtt.client else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let chain = certificates("mqtt.certificate", certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|e| pem_words("mqtt.key", key, &e, "a private key (PKCS#8, PKCS#1 or SEC1)"))?;
    let tls = builder.with_client_auth_cert(chain, secret).map_err(|e| {
        format!(
            "mqtt.certificate {} and mqtt.key {} cannot be used together: {e}; check that the key is the \
             certificate's",
            certificate.display(),
            key.display()
        )
    })?;
    Ok(Arc::new(tls))
}

/// From the oldest that may be spoken.
static FROM_12: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
/// See [`FROM_12`].
static FROM_13: [&SupportedProtocolVersion; 1] = [&TLS13];

fn versions(oldest: config::TlsVersion) -> &'static [&'static SupportedProtocolVersion] {
    match oldest {
        config::TlsVersion::V12 => &FROM_12,
        config::TlsVersion::V13 => &FROM_13,
    }
}

fn certificates(name: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let words = |e: &pem::Error| pem_words(name, file, e, "a certificate");
    let found: Vec<_> = CertificateDer::pem_file_iter(file)
        .map_err(|e| words(&e))?
        .collect::<Result<_, _>>()
        .map_err(|e| words(&e))?;
    if found.is_empty() { Err(words(&pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn pem_words(name: &str, file: &Path, error: &pem::Error, wanted: &str) -> String {
    let shown = file.display();
    match error {
        pem::Error::Io(e) => {
            format!("{name} {shown} cannot be read: {e}; check the path and who may read it")
        }
        pem::Error::NoItemsFound => {
            format!(
                "{name} {shown} holds no PEM block with {wanted}; check that it is not the DER form or empty"
            )
        }
        other => format!("{name} {shown} is not well-formed PEM: {other}; export it anew"),
    }
}

/// What a failed TLS handshake means, if `error` is one.
pub fn describe(error: &ConnectionError) -> Option<String> {
    let tls = match error {
        ConnectionError::Tls(TlsError::TLS(e)) => e,
        ConnectionError::Tls(TlsError::Io(io)) => io.get_ref()?.downcast_ref::<rustls::Error>()?,
        ConnectionError::Tls(TlsError::DNSName(_)) => {
            return Some(
                "the broker's name is none that a certificate can carry; correct mqtt.broker".into(),
            );
        }
        _ => return None,
    };
    let advice = match tls {
        rustls::Error::InvalidCertificate(why) => match why {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the broker's certificate has expired: renew it, or look whether this gateway's clock is ahead"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the broker's certificate is not valid yet: this gateway's clock may not be set"
            }
            CertificateError::UnknownIssuer => {
                "the broker's certificate is from another authority than the one in mqtt.ca (without it, than the system's bundle has)"
            }
            CertificateError::BadSignature => {
                "the broker's certificate is from another authority than the one in mqtt.ca, though of the same name: \
                 one of the two was made anew"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the broker's certificate is for another name: mqtt.broker must be a name in the certificate"
            }
            CertificateError::Revoked => "the broker's certificate is revoked",
            _ => "the broker's certificate is not accepted",
        },
        rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)
        | rustls::Error::PeerIncompatible(_) => {
            "the broker speaks no version of TLS that we accept (mqtt.tls is the oldest)"
        }
        rustls::Error::AlertReceived(_) => {
            "the broker ended the TLS handshake: it may want another client certificate (mqtt.certificate)"
        }
        rustls::Error::InvalidMessage(_) => "what answers there does not speak TLS; is the port right?",
        _ => "the TLS handshake failed",
    };
    Some(format!("{advice} ({tls})"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use linekeeper_contract::units::Span;

    fn with(ca: Option<&Path>, client: Option<(&Path, &Path)>) -> config::Mqtt {
        config::Mqtt {
            brokers: Vec::new(),
            ca: ca.map(Path::to_owned),
            client: client.map(|(c, k)| (c.to_owned(), k.to_owned())),
            login: None,
            tls: config::TlsVersion::V12,
            keep_alive: Span::seconds(30),
            reconnect: Span::minutes(5),
            session: Span::days(1),
        }
    }

    #[test]
    fn each_bad_file_is_named_with_what_is_wrong() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("ca.pem");
        let said = |mqtt: &config::Mqtt| configuration(mqtt).map(|_| ()).unwrap_err();
        match crate::trust::ca_file() {
            Some(_) => assert!(configuration(&with(None, None)).is_ok(), "the system's own is used"),
            None => assert!(said(&with(None, None)).contains("mqtt.ca is missing")),
        }
        assert!(said(&with(Some(&path), None)).contains("cannot be read"));
        std::fs::write(&path, "").unwrap();
        assert!(said(&with(Some(&path), None)).contains("no PEM block"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(said(&with(Some(&path), None)).contains("ca.pem"));
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(said(&with(Some(&path), None)).contains("cannot be used"));
    }

    #[test]
    fn a_stranger_is_told_from_one_of_the_same_name() {
        let said = |why| {
            let error = rustls::Error::InvalidCertificate(why);
            describe(&ConnectionError::Tls(TlsError::TLS(error))).unwrap()
        };
        assert!(
            said(CertificateError::UnknownIssuer)
                .contains("from another authority than the one in mqtt.ca (")
        );
        assert!(said(CertificateError::BadSignature).contains("though of the same name"));
    }
}
