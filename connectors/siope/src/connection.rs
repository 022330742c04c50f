//! One connection to SIOPE+, shared by everything that names it: addresses, questions, downloads, uploads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_http::client::{self, Options, Reply};
use connector_http::tls::ClientFiles;
use hub_core::plugin::{OpenCx, OpenError};
use hub_core::{Attempt, Clock, SendError, Span, Value, read_json, sha256_hex};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Client, StatusCode, Url};

use crate::archive;
use crate::entities::Entity;
use crate::quiet::Quiet;
use crate::resolve::Opened;
use crate::rome;
use crate::settings::ConnectionSettings;

/// Size of one page of a list.
const PAGE_BYTES_MAX: usize = 4 << 20;
/// Size of a download, packed.
const ZIP_BYTES_MAX: usize = 8 << 20;
/// Size of the answer to an upload.
const RECEIPT_BYTES_MAX: usize = 64 << 10;
/// Limit for establishing a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer vouches for the next upload: that SIOPE+ is there and takes our certificate.
const HEARD_WITHIN: Duration = Duration::from_secs(60);
const JSON: &str = "application/json";
const ZIP: &str = "application/zip";

/// Why a question got no usable answer. Never the same as "there is nothing".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub(crate) struct AskError {
    pub(crate) what: String,
    pub(crate) retry_after: Option<Span>,
    /// Trying again does not help by itself: an operator has to look.
    pub(crate) broken: bool,
}

impl AskError {
    pub(crate) fn broken(what: impl Into<String>) -> Self {
        Self { what: what.into(), retry_after: None, broken: true }
    }

    fn unavailable(what: impl Into<String>) -> Self {
        Self { what: what.into(), retry_after: None, broken: false }
    }
}

/// A downloaded document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    /// The XML.
    Xml(Bytes),
    /// What came is no document; it is kept as it came, as far as it was read.
    Unreadable { raw: Bytes, why: String },
}

/// See the module. Cheap to share.
pub(crate) struct Connection {
    /// Questions go over connections that stay open.
    asks: Client,
    /// Uploads take a fresh connection each: the other side may close an idle one just when it is used, and after the last
    /// chunk that would be a doubt for nothing.
    uploads: Client,
    base: Url,
    clock: Arc<dyn Clock>,
    /// When SIOPE+ answered a question last.
    heard: Mutex<Option<Timestamp>>,
    pub(crate) quiet: Quiet,
    pub(crate) settings: ConnectionSettings,
    /// Answers that `resolve` has opened already.
    pub(crate) opened: Opened,
}

impl Connection {
    /// The connection of this name; made when it is first asked for, and anew when its settings or certificates changed.
    ///
    /// # Errors
    /// If the settings are wrong or a certificate cannot be read.
    pub(crate) fn shared(cx: &OpenCx, name: &str) -> Result<Arc<Self>, OpenError> {
        let named = |e: OpenError| OpenError(format!("connection `{name}`: {e}"));
        let settings: ConnectionSettings = cx.settings("connections", name)?;
        let base = settings.checked().map_err(named)?;
        let files = files(cx, &settings).map_err(named)?;
        let key = format!("{name}#{}", fingerprint(&settings, &files));
        let make = || Self::open(cx, settings, base, &files).map_err(named);
        cx.shared.get_or_make(&key, make)
    }

    fn open(cx: &OpenCx, settings: ConnectionSettings, base: Url, files: &ClientFiles) -> Result<Self, OpenError> {
        let timeout = settings.timeout.0;
        let connect_timeout = timeout.min(CONNECT_TIMEOUT);
        let client = |reuse| client::build(&Options { files: files.clone(), connect_timeout, timeout, reuse });
        let (asks, uploads, quiet) = (client(true)?, client(false)?, Quiet::new(cx.clock.clone()));
        let (clock, heard, opened) = (cx.clock.clone(), Mutex::default(), Opened::default());
        Ok(Self { asks, uploads, base, clock, heard, quiet, settings, opened })
    }

    /// The address of a call: base, `idA2A`, `PA`, `codEnte`, the rest.
    pub(crate) fn url(&self, entity: &Entity, call: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Only an address that cannot hold a path refuses; `http` and `https` always can.
        if let Ok(mut path) = url.path_segments_mut() {
            let _ = path.pop_if_empty().extend([entity.id_a2a.as_str(), "PA", entity.code.as_str()]).extend(call);
        }
        url
    }

    /// A `location` of SIOPE+, if it leads to SIOPE+: our certificate is shown to nobody else.
    pub(crate) fn location(&self, text: &str) -> Option<Url> {
        self.base.join(text).ok().filter(|url| url.origin() == self.base.origin() && url.username().is_empty())
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// If no usable answer came.
    pub(crate) async fn json(&self, entity: &Entity, url: &Url) -> Result<Value, AskError> {
        let reply = self.get(entity, url, JSON, PAGE_BYTES_MAX).await?;
        let body = reply.body.map_err(|e| AskError::unavailable(format!("{}: {e}", url.path())))?;
        read_json(&body, PAGE_BYTES_MAX).map_err(|e| AskError::broken(format!("{}: {e}", url.path())))
    }

    /// Downloads and unpacks a document of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// If no usable answer came. Something that came but is no document is no error: it would be the same next time.
    pub(crate) async fn document(&self, entity: &Entity, url: &Url, bytes_max: usize) -> Result<Document, AskError> {
        let reply = self.get(entity, url, ZIP, ZIP_BYTES_MAX).await?;
        let raw = match reply.body {
            Ok(raw) => raw,
            Err(why) if why.starts_with("larger than") => {
                return Ok(Document::Unreadable { raw: Bytes::new(), why: format!("the download is {why}") });
            }
            Err(why) => return Err(AskError::unavailable(format!("{}: {why}", url.path()))),
        };
        Ok(match archive::unpack(&raw, bytes_max) {
            Ok(xml) => Document::Xml(xml),
            Err(why) => Document::Unreadable { raw, why },
        })
    }

    async fn get(&self, entity: &Entity, url: &Url, accept: &str, bytes_max: usize) -> Result<Reply, AskError> {
        if let Some(wait) = self.quiet.wait(&entity.id_a2a) {
            let what = format!("SIOPE+ asked {} to wait for another {wait}", entity.id_a2a);
            return Err(AskError { what, retry_after: Some(wait), broken: false });
        }
        let request = self.asks.get(url.clone()).header(ACCEPT, accept);
        let asked = client::ask(request, bytes_max).await;
        let reply = asked.map_err(|e| AskError::unavailable(format!("{}: {e}", url.path())))?;
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now());
        let retry_after = self.quiet.hear(&entity.id_a2a, &reply);
        if reply.status == StatusCode::OK {
            return Ok(reply);
        }
        let passing = [429, 408, 425].contains(&reply.status.as_u16()) || reply.status.is_server_error();
        let what = format!("{}: {}", url.path(), reply.reason());
        Err(AskError { what, retry_after, broken: !passing })
    }

    fn heard_lately(&self) -> bool {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let age = heard.map(|heard| Duration::try_from(self.clock.now().duration_since(heard)));
        age.is_some_and(|age| age.is_ok_and(|age| age <= HEARD_WITHIN))
    }

    /// Makes sure that SIOPE+ answers us before something is sent that must not be in doubt. In TLS 1.3 a server refuses a
    /// certificate (an expired one, say) after the client's first data, and that may look like any broken connection: an
    /// upload would be in doubt for nothing. Where sources poll, this costs no call.
    async fn knock(&self, entity: &Entity) -> Result<(), SendError> {
        if self.heard_lately() {
            return Ok(());
        }
        let mut url = self.url(entity, &["flusso", "ack", ""]);
        let now = rome::text(rome::local(self.clock.now()));
        let _ = url.query_pairs_mut().append_pair("dataProduzioneDa", &now);
        let asked = self.get(entity, &url, JSON, PAGE_BYTES_MAX).await;
        match asked {
            // Any answer will do; what it means for an upload, the upload itself is told.
            Err(error) if !self.heard_lately() => {
                let cause = format!("SIOPE+ does not answer, nothing was sent: {error}").into();
                Err(SendError::NotSent { retry_after: error.retry_after, cause })
            }
            _ => Ok(()),
        }
    }

    /// Uploads a packed flow, once.
    ///
    /// # Errors
    /// As [`client::send_once`]; `NotSent` also during a pause that SIOPE+ asked for, and when it does not answer at all.
    pub(crate) async fn upload(&self, entity: &Entity, zip: &Bytes, attempt: &Attempt) -> Result<Reply, SendError> {
        self.knock(entity).await?;
        if let Some(wait) = self.quiet.wait(&entity.id_a2a) {
            let cause = format!("SIOPE+ asked {} to wait for another {wait}", entity.id_a2a).into();
            return Err(SendError::NotSent { retry_after: Some(wait), cause });
        }
        let request = self.uploads.post(self.url(entity, &["flusso"])).header(ACCEPT, JSON).header(CONTENT_TYPE, ZIP);
        client::send_once(request, zip, attempt, RECEIPT_BYTES_MAX).await
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

fn files(cx: &OpenCx, settings: &ConnectionSettings) -> Result<ClientFiles, OpenError> {
    let identity = match (&settings.client_cert, &settings.client_key) {
        (Some(cert), Some(key)) => Some((cx.path(cert), cx.path(key))),
        (None, None) => None,
        _ => return Err(OpenError("`client_cert` and `client_key` go together; one is missing".into())),
    };
    Ok(ClientFiles { ca: settings.ca.as_ref().map(|ca| cx.path(ca)), identity })
}

/// Tells settings and certificates apart. A file that cannot be read counts as empty here; opening it names it.
fn fingerprint(settings: &ConnectionSettings, files: &ClientFiles) -> String {
    let mut bytes = format!("{settings:?}").into_bytes();
    let cert = files.identity.as_ref().map(|(cert, _)| cert);
    for path in files.ca.iter().chain(cert) {
        bytes.extend(std::fs::read(path).unwrap_or_default());
        bytes.push(0);
    }
    sha256_hex(&bytes)
}
