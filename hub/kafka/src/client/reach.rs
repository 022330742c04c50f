//! The first word with a cluster: whether it answers, and if not, why.

use std::time::{Duration, Instant};

use hub_backbone::Error;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{awake, common, context::Logged, io};
use crate::KafkaSettings;

/// After a refusal another broker may still let us in, or the same one that is just starting.
const GRACE: Duration = Duration::from_secs(4);
/// How long one question waits before the library's words are looked at again.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until a broker answers. Blocks.
///
/// # Errors
/// [`Error::Io`] after `patience`, or soon after brokers have refused us: with their reason.
pub(crate) fn reach(settings: &KafkaSettings, patience: Duration) -> Result<(), Error> {
    settings.security.check_files()?;
    let made = common(settings).create_with_context(Logged::new(&settings.security));
    let client: BaseConsumer<Logged> = made.map_err(|error| io("no client can be made (`security`)", &error))?;
    awake(settings, client.client())?;
    let (begun, mut refused) = (Instant::now(), None);
    loop {
        let error = match client.fetch_metadata(Some(&format!("{}.inbox", settings.prefix)), LOOK) {
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        // the library's words come out of its queue
        while client.poll(Duration::ZERO).is_some() {}
        refused = refused.or_else(|| client.context().refused().map(|_| Instant::now()));
        match client.context().refused() {
            Some(reason) if refused.is_some_and(|since: Instant| since.elapsed() >= GRACE) => {
                let hint = hint(&reason);
                return Err(Error::Io(format!("Kafka: no way in, see `backbone.kafka.security`: {reason}{hint}")));
            }
            _ if begun.elapsed() >= patience => {
                let reason = client.context().last().unwrap_or_else(|| error.to_string());
                return Err(Error::Io(format!(
                    "Kafka: no broker answers, see `backbone.kafka.brokers` and `security`: {reason}"
                )));
            }
            _ => {}
        }
    }
}

/// A broker's alert names a number, not the reason.
fn hint(reason: &str) -> &'static str {
    match reason.contains(" alert ") {
        true => {
            "; the broker refuses `tls.certificate`: it is missing, has expired, or an authority signed it that the broker does not know"
        }
        false => "",
    }
}
