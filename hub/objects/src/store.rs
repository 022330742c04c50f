//! The client, with a limit to everything that it does.

use std::time::Duration;

use hub_backbone::Error;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::{BackoffConfig, Certificate, ClientOptions, RetryConfig};

use crate::S3Settings;

/// Between two tries: at first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// More tries than fit into any patience: time is the limit.
const TRIES_MAX: usize = 1000;
/// Establishing a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// A client that signs each body, so that what arrives damaged is refused.
pub(crate) fn connect(settings: &S3Settings) -> Result<AmazonS3, Error> {
    let retry = RetryConfig {
        backoff: BackoffConfig { init_backoff: BACKOFF.0, max_backoff: BACKOFF.1, base: 2.0 },
        max_retries: TRIES_MAX,
        retry_timeout: settings.patience.0,
    };
    let built = AmazonS3Builder::new()
        .with_endpoint(settings.endpoint.trim_end_matches('/'))
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_access_key_id(settings.access_key.expose())
        .with_secret_access_key(settings.secret_key.expose())
        .with_virtual_hosted_style_request(false)
        .with_allow_http(settings.insecure)
        .with_client_options(options(settings)?.with_allow_http(settings.insecure))
        .with_retry(retry)
        .build();
    built.map_err(|_| Error::Io("blobs.s3: `endpoint`, `bucket` or `region` cannot be used".to_owned()))
}

fn options(settings: &S3Settings) -> Result<ClientOptions, Error> {
    let mut options = ClientOptions::new()
        .with_http1_only()
        .with_connect_timeout(CONNECT.min(settings.timeout.0))
        .with_timeout(settings.timeout.0);
    let Some(path) = &settings.ca else { return Ok(options) };
    let fault = |error: String| Error::Io(format!("blobs.s3: `ca` {}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| fault(error.to_string()))?;
    for one in Certificate::from_pem_bundle(&pem).map_err(|error| fault(error.to_string()))? {
        options = options.with_root_certificate(one);
    }
    Ok(options.with_no_system_certificates(true))
}
