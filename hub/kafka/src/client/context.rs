//! What the library asks of us and tells us: tokens, and what goes to the hub's own log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::settings::Security;

/// The library tries again each second; that is not worth a line each time.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Sends what the library says to the hub's own log, and remembers the last refusal.
#[derive(Debug)]
pub(crate) struct Logged {
    security: Security,
    refused: Mutex<Option<Refused>>,
    last: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Refused {
    reason: String,
    said: Instant,
}

impl Logged {
    pub(crate) fn new(security: &Security) -> Self {
        Self { security: security.clone(), refused: Mutex::default(), last: Mutex::default() }
    }

    /// The last reason why a broker does not want us, or we do not want it.
    pub(crate) fn refused(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().map(|refused| refused.reason.clone())
    }

    /// The last other reason why there is no connection.
    pub(crate) fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, reason: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let said = refused.as_ref().map(|refused| refused.said).filter(|said| said.elapsed() < SAID_AGAIN);
        if said.is_none() {
            tracing::warn!(target: "kafka", "no way in (`security`): {reason}");
        }
        *refused = Some(Refused { reason: reason.to_owned(), said: said.unwrap_or_else(Instant::now) });
    }
}

impl ClientContext for Logged {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::warn!(target: "kafka", "{facility} {text}");
            }
            _ => tracing::debug!(target: "kafka", "{facility} {text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if is_refusal(code, reason) {
            self.refuse(reason);
            return;
        }
        tracing::debug!(target: "kafka", "{error}: {reason}");
        // that all brokers are down says less than why the last one is
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.security.oauth_token().map_err(Into::into)
    }
}

impl ConsumerContext for Logged {}

impl ProducerContext for Logged {
    type DeliveryOpaque = ();
    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        if let Err((error, _)) = result {
            tracing::debug!(target: "kafka", "a reply is not delivered: {error}");
        }
    }
}

/// Whether a broker does not want us, or we do not want it. In TLS 1.3 a broker refuses a certificate after the handshake, by an
/// alert that the library takes for a broken connection.
fn is_refusal(code: Option<RDKafkaErrorCode>, reason: &str) -> bool {
    let codes = [RDKafkaErrorCode::Authentication, RDKafkaErrorCode::SaslAuthenticationFailed, RDKafkaErrorCode::SSL];
    code.is_some_and(|code| codes.contains(&code)) || reason.contains(" alert ")
}
