//! The calls: upload, list, download. One [`Api`] for each connection, shared by all routes, so that a limit that
//! SIOPE+ sets to one of them holds for all.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_http::client::{self, Options, Reply};
use hub_core::plugin::{OpenCx, OpenError};
use hub_core::{Attempt, Clock, SendError, Span};
use jiff::Timestamp;
use jiff::civil::DateTime;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{StatusCode, Url};

use crate::archive::DOCUMENT_BYTES_MAX;
use crate::listing::{self, Item, Kind, PAGE_BYTES_MAX, Page};
use crate::office::Office;
use crate::settings::ConnectionSettings;
use crate::time;

/// The pause when SIOPE+ says "too much" or "not now" and names none.
const PAUSE: Duration = Duration::from_secs(30);
/// The longest pause that an `X-RateLimit-Reset` can ask for.
const RESET_MAX: Duration = Duration::from_secs(3600);
/// Answers to uploads are small.
const RECEIPT_BYTES_MAX: usize = 64 * 1024;
/// The largest archive that is downloaded.
const ZIP_BYTES_MAX: usize = 16 * 1024 * 1024;

const _: () = assert!(ZIP_BYTES_MAX as u64 <= DOCUMENT_BYTES_MAX, "an archive is not larger than what it may hold");

/// Why a question was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Not now: throttled or closed.
    Later { wish: Span, cause: String },
    /// No answer, or one that makes no sense.
    Failed(String),
    /// An answer that says no.
    Refused { status: u16, cause: String },
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Later { wish, cause } => write!(f, "not before {wish}: {cause}"),
            Self::Failed(cause) | Self::Refused { cause, .. } => f.write_str(cause),
        }
    }
}

impl std::error::Error for Trouble {}

/// SIOPE+ as one connection reaches it.
pub(crate) struct Api {
    clock: Arc<dyn Clock>,
    base: Url,
    /// For questions: connections are used again.
    asking: reqwest::Client,
    /// For uploads: a fresh connection each, so that a stale one cannot make a doubt.
    sending: reqwest::Client,
    pub(crate) timeout: Duration,
    not_before: Mutex<Option<Timestamp>>,
}

impl Api {
    /// The connection of this name, made the first time.
    pub(crate) fn open(cx: &OpenCx, name: &str) -> Result<Arc<Self>, OpenError> {
        let settings: ConnectionSettings = cx.settings("connections", name)?;
        let wrong = |e: OpenError| OpenError(format!("config/hub.yaml, `connections.{name}`: {e}"));
        // Changed settings are another connection; what they name is no secret.
        let key = format!("{name} {settings:?}");
        cx.shared.get_or_make(&key, || Self::new(cx, &settings).map_err(wrong))
    }

    fn new(cx: &OpenCx, settings: &ConnectionSettings) -> Result<Self, OpenError> {
        let options = settings.options(cx)?;
        Ok(Self {
            clock: cx.clock.clone(),
            base: settings.base()?,
            asking: client::build(&options)?,
            sending: client::build(&Options { reuse: false, ..options })?,
            timeout: settings.timeout.0,
            not_before: Mutex::default(),
        })
    }

    /// Uploads a packed flow, once.
    pub(crate) async fn upload(&self, office: &Office, zip: &Bytes, attempt: &Attempt) -> Result<Reply, SendError> {
        if let Some(wish) = self.pause() {
            let cause = "SIOPE+ has asked us to wait".into();
            return Err(SendError::NotSent { retry_after: Some(wish), cause });
        }
        let request = self.sending.post(self.url(office, "flusso"));
        let request = request.header(CONTENT_TYPE, "application/zip").header(ACCEPT, "application/json");
        let reply = client::send_once(request, zip, attempt, RECEIPT_BYTES_MAX).await?;
        self.heed(&reply);
        Ok(reply)
    }

    /// One page of a list: everything since this time, whether downloaded before or not.
    ///
    /// The parameter `download` is never sent: it would hide what somebody has fetched, even if it was lost afterwards.
    pub(crate) async fn page(
        &self,
        kind: Kind,
        office: &Office,
        since: DateTime,
        number: u64,
    ) -> Result<Page, Trouble> {
        let url = self.url(office, kind.list());
        let query = [(kind.since(), time::text(since)), ("pagina", number.to_string())];
        let Ok(url) = Url::parse_with_params(&url, &query) else { return Err(Trouble::Failed("wrong address".into())) };
        let body = self.ask(url, "application/json", PAGE_BYTES_MAX).await?;
        listing::page(&body).map_err(|detail| Trouble::Failed(format!("list of {}: {detail}", kind.name())))
    }

    /// The archive behind an entry of a list.
    pub(crate) async fn download(&self, kind: Kind, office: &Office, item: &Item) -> Result<Bytes, Trouble> {
        let built = self.url(office, &kind.document(&item.prog));
        let url = match item.location.as_deref().and_then(|location| self.same_origin(location)) {
            Some(url) => url,
            None => Url::parse(&built).map_err(|e| Trouble::Failed(e.to_string()))?,
        };
        self.ask(url, "application/zip", ZIP_BYTES_MAX).await
    }

    /// A location, if it leads to where we are anyway: our certificate is shown to nobody else.
    fn same_origin(&self, location: &str) -> Option<Url> {
        self.base.join(location).ok().filter(|url| url.origin() == self.base.origin())
    }

    fn url(&self, office: &Office, path: &str) -> String {
        format!("{}/{}/{path}", self.base.as_str().trim_end_matches('/'), office.path())
    }

    async fn ask(&self, url: Url, accept: &str, bytes_max: usize) -> Result<Bytes, Trouble> {
        if let Some(wish) = self.pause() {
            return Err(Trouble::Later { wish, cause: "SIOPE+ has asked us to wait".into() });
        }
        let path = url.path().to_string();
        let reply = client::ask(self.asking.get(url).header(ACCEPT, accept), bytes_max).await;
        let reply = reply.map_err(|cause| Trouble::Failed(format!("{path}: {cause}")))?;
        let wish = self.heed(&reply);
        match reply.status.as_u16() {
            200 => reply.body.map_err(|cause| Trouble::Failed(format!("{path}: {cause}"))),
            429 | 503 => {
                let cause = format!("{path}: {}", reply.reason());
                Err(Trouble::Later { wish: wish.unwrap_or(Span(PAUSE)), cause })
            }
            status => Err(Trouble::Refused { status, cause: format!("{path}: {}", reply.reason()) }),
        }
    }

    /// How long nothing may be asked or sent yet.
    fn pause(&self) -> Option<Span> {
        let not_before = *self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        let left = not_before?.duration_since(self.clock.now());
        Duration::try_from(left).ok().filter(|left| !left.is_zero()).map(Span)
    }

    /// Takes a limit from an answer: an explicit wish to wait, or a budget that is used up.
    pub(crate) fn heed(&self, reply: &Reply) -> Option<Span> {
        let now = self.clock.now();
        let number = |name: &str| reply.headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
        let busy = matches!(reply.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let wish = match reply.retry_after(now) {
            Some(wish) if busy => Some(wish),
            _ if busy => Some(Span(PAUSE)),
            _ if number("x-ratelimit-remaining") == Some(0) => {
                let reset = number("x-ratelimit-reset").map(Duration::from_secs).unwrap_or(Duration::from_secs(1));
                Some(Span(reset.min(RESET_MAX)))
            }
            _ => None,
        };
        if let Some(wish) = wish {
            *self.not_before.lock().unwrap_or_else(PoisonError::into_inner) = Some(now + wish.0);
        }
        wish
    }
}
