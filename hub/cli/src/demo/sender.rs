//! The accounting system of the demo: sends orders over mutual TLS, and drops files into a folder.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hub_core::Value;

use super::Offer;
use super::world::{SENDER, World};

/// How long the drop folder may take to swallow a file.
const FOLDER_WITHIN: Duration = Duration::from_secs(20);
/// Tries of a request that the hub asks to repeat.
const TRIES: usize = 50;

/// What the hub said to an offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// 202: durable.
    Taken,
    /// Refused, with the reasons.
    Refused {
        /// HTTP status.
        status: u16,
        /// The problem document.
        problem: Value,
    },
    /// Handed over as a file: the folder cannot answer.
    Dropped,
}

impl Answer {
    /// Whether the sender was told "taken".
    #[must_use]
    pub fn is_taken(&self) -> bool {
        *self == Self::Taken
    }
}

/// A client of the hub's ingest listener.
#[derive(Debug, Clone)]
pub struct Sender {
    http: reqwest::Client,
    address_file: PathBuf,
    folder: PathBuf,
}

impl Sender {
    /// A client with the sender's certificate.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub async fn new(world: &World) -> anyhow::Result<Self> {
        let tls = world.dir.join("tls");
        let mut identity = tokio::fs::read(tls.join(format!("{SENDER}.pem"))).await?;
        identity.extend(tokio::fs::read(tls.join(format!("{SENDER}.key"))).await?);
        let ca = reqwest::Certificate::from_pem(&tokio::fs::read(tls.join("ca.pem")).await?)?;
        let http = reqwest::Client::builder()
            .identity(reqwest::Identity::from_pem(&identity)?)
            .tls_certs_only([ca])
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { http, address_file: world.dir.join("http.address"), folder: world.dir.join("drop") })
    }

    /// The same for the hub that writes its address there.
    #[must_use]
    pub fn to(&self, address_file: PathBuf) -> Self {
        Self { address_file, ..self.clone() }
    }

    /// Sends an order until the hub says yes or no; repetitions carry the same key.
    ///
    /// # Errors
    /// When the hub says neither for too long.
    pub async fn post(&self, offer: &Offer) -> anyhow::Result<Answer> {
        for _ in 0..TRIES {
            match self.post_once(offer).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, offer = offer.name, "sent again with the same key"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        bail!("no yes or no for {} in {TRIES} tries", offer.name)
    }

    /// One request; `None`: the hub asks for patience.
    ///
    /// # Errors
    /// When the hub does not answer: not known whether it was taken.
    pub async fn post_once(&self, offer: &Offer) -> anyhow::Result<Option<Answer>> {
        let address = tokio::fs::read_to_string(&self.address_file).await.context("the hub has no listener yet")?;
        let request = self
            .http
            .post(format!("https://{}{}", address.trim(), offer.path))
            .header("content-type", "application/json")
            .header("idempotency-key", &offer.name)
            .body(offer.bytes.clone());
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(match status {
            202 => Some(Answer::Taken),
            429 | 503 => None,
            _ => Some(Answer::Refused { status, problem: serde_json::from_str(&text).unwrap_or(Value::String(text)) }),
        })
    }

    /// Puts a file into the drop folder, atomically.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn drop_file(&self, offer: &Offer) -> anyhow::Result<()> {
        let (part, whole) = (self.folder.join(format!(".{}.part", offer.name)), self.folder.join(&offer.name));
        tokio::fs::write(&part, &offer.bytes).await?;
        Ok(tokio::fs::rename(&part, &whole).await?)
    }

    /// Waits until the hub has taken a file away.
    ///
    /// # Errors
    /// When the file stays.
    pub async fn swallowed(&self, offer: &Offer) -> anyhow::Result<Answer> {
        let (file, begun) = (self.folder.join(&offer.name), Instant::now());
        while tokio::fs::try_exists(&file).await? {
            if begun.elapsed() > FOLDER_WITHIN {
                bail!("{} still lies in the drop folder", offer.name);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(if offer.order.is_some() { Answer::Taken } else { Answer::Dropped })
    }
}
