//! What the library asks of us and tells us: tokens, and what goes to the hub's own log.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::settings::Security;

/// The library tries again each second; that is not worth a line each time.
const SAID_AGAIN: Duration = Duration::from_secs(60);

/// Sends what the library says to the hub's own log, and remembers the last refusal.
#[derive(Debug)]
pub(crate) struct Logged {
    security: Security,
    refused: Mutex<Option<Refused>>,
}

#[derive(Debug)]
struct Refused {
    reason: String,
    said: Instant,
}

impl Logged {
    pub(crate) fn new(security: &Security) -> Self {
        Self { security: security.clone(), refused: Mutex::default() }
    }

    /// The last reason why a broker does not want us, or we do not want it.
    pub(crate) fn refused(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().map(|refused| refused.reason.clone())
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
        match error.rdkafka_error_code() {
            Some(
                RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed | RDKafkaErrorCode::SSL,
            ) => {
                self.refuse(reason);
            }
            _ => tracing::debug!(target: "kafka", "{error}: {reason}"),
        }
    }

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        self.security.oauth_token().map_err(Into::into)
    }
}

impl ConsumerContext for Logged {}
