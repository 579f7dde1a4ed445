//! Why a connection ended or a message was refused: the suspected cause, and the text for the log.

use super::connection::CONNECT_LIMIT;
use super::tls;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, DisconnectReasonCode, PubAckReason};
use rumqttc::v5::{ConnectionError, StateError, mqttbytes};

/// How one connection, or one attempt, ended.
pub(super) enum Lost {
    /// We were asked to end, and did.
    Stopped,
    /// The line came back while it was in doubt: the next attempt follows at once.
    Nudged,
    /// Any other end: a text for the log, and the suspected cause.
    Broken(String, Fault),
}

/// What may have caused the loss of a connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    /// The broker says that it was a message.
    Message,
    /// The broker closed the connection without a reason that reached us: a message is possible. (rumqttc loses the
    /// reason of a DISCONNECT without properties, which is how mosquitto sends it.)
    Closed,
    /// Another client connected with our device id (0x8E).
    TakenOver,
    /// The network, the broker's own operation, or this side.
    Other,
}

/// What a broker that refuses CONNECT does not take in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unfit {
    /// A retained will.
    Retain,
    /// Its size.
    Size,
}

/// Whether the broker refused something that CONNECT can do without.
pub(super) fn unfit(error: &ConnectionError) -> Option<Unfit> {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::RetainNotSupported) => Some(Unfit::Retain),
        ConnectionError::ConnectionRefused(ConnectReturnCode::PacketTooLarge)
        | ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::PacketTooLarge,
            ..
        }) => Some(Unfit::Size),
        ConnectionError::NotConnAck(packet) => match **packet {
            Packet::Disconnect(ref ended) if ended.reason_code == DisconnectReasonCode::PacketTooLarge => {
                Some(Unfit::Size)
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether the broker refused for its own reasons (rights, quota), not because of the message.
pub(super) fn is_policy_refusal(reason: PubAckReason) -> bool {
    matches!(
        reason,
        PubAckReason::NotAuthorized | PubAckReason::QuotaExceeded | PubAckReason::PacketIdentifierInUse
    )
}

/// Whether a message may have caused this error.
pub(super) fn suspected_cause(error: &ConnectionError) -> Fault {
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code:
                DisconnectReasonCode::PacketTooLarge
                | DisconnectReasonCode::PayloadFormatInvalid
                | DisconnectReasonCode::TopicNameInvalid,
            ..
        }) => Fault::Message,
        ConnectionError::MqttState(StateError::ServerDisconnect {
            reason_code: DisconnectReasonCode::SessionTakenOver,
            ..
        }) => Fault::TakenOver,
        ConnectionError::MqttState(StateError::ConnectionAborted) => Fault::Closed,
        ConnectionError::Io(e)
        | ConnectionError::MqttState(
            StateError::Io(e) | StateError::Deserialization(mqttbytes::Error::Io(e)),
        ) => match e.kind() {
            std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::ConnectionReset
            | std::io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::Other,
        },
        _ => Fault::Other,
    }
}

/// Why a connection ended, in words that follow "lost the broker:" or "cannot connect to the broker:".
pub(super) fn describe_error(error: &ConnectionError) -> String {
    if let Some(said) = tls::describe(error) {
        return said;
    }
    match error {
        ConnectionError::Timeout(_) => {
            format!("no answer within {CONNECT_LIMIT}; check the line, the name and the firewall")
        }
        ConnectionError::Io(e)
        | ConnectionError::MqttState(
            StateError::Io(e) | StateError::Deserialization(mqttbytes::Error::Io(e)),
        ) => match e.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                "nobody listens there; is the broker running, is the port right?".into()
            }
            std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                "the other side closed the connection".into()
            }
            _ => e.to_string(),
        },
        ConnectionError::ConnectionRefused(code) => {
            let advice = match code {
                ConnectReturnCode::BadUserNamePassword => "; check mqtt.username and mqtt.password_file",
                ConnectReturnCode::NotAuthorized => {
                    "; check the broker's access list, and certificate or login here"
                }
                ConnectReturnCode::ClientIdentifierNotValid | ConnectReturnCode::BadClientId => {
                    "; check device.id"
                }
                ConnectReturnCode::UnsupportedProtocolVersion | ConnectReturnCode::RefusedProtocolVersion => {
                    "; the broker must speak MQTT 5"
                }
                _ => "",
            };
            format!("it refused us ({code:?}){advice}")
        }
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            let said = reason_string.as_ref().map_or_else(String::new, |s| format!(": {s:.200}"));
            match reason_code {
                DisconnectReasonCode::PacketTooLarge
                | DisconnectReasonCode::PayloadFormatInvalid
                | DisconnectReasonCode::TopicNameInvalid => {
                    format!("it does not take a message ({reason_code:?}{said})")
                }
                DisconnectReasonCode::SessionTakenOver => format!(
                    "another client took the session over{said}; is a second gateway using the same device.id?"
                ),
                _ => format!("it ended the connection ({reason_code:?}{said})"),
            }
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            "the other side closed the connection".into()
        }
        ConnectionError::MqttState(StateError::AwaitPingResp) => {
            "it did not answer within the keep-alive".into()
        }
        ConnectionError::NotConnAck(_) => {
            "what answers there does not speak MQTT 5; is the port right?".into()
        }
        other => other.to_string(),
    }
}
