//! A token endpoint (RFC 6749, client credentials) over TLS.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::papers::{Papers, token};

/// The secret of the client `hub`.
pub(super) const SECRET: &str = "sesame-open-sesame";

pub(super) struct Endpoint {
    port: u16,
    asked: Arc<AtomicUsize>,
    serving: tokio::task::JoinHandle<()>,
}

impl Endpoint {
    pub(super) async fn start(papers: &Papers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (acceptor, asked) = (acceptor(papers), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // who does not trust us goes away
                drop(serve(&acceptor, stream, &counted).await);
            }
        });
        Self { port, asked, serving }
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}/token", self.port)
    }

    /// How many tokens were given out.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn acceptor(papers: &Papers) -> TlsAcceptor {
    let chain = vec![CertificateDer::from_pem_file(papers.path("broker.pem")).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(papers.path("broker.key")).expect("a key");
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a configuration")))
}

async fn serve(acceptor: &TlsAcceptor, stream: TcpStream, asked: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = acceptor.accept(stream).await?;
    let request = read(&mut stream).await?;
    let right = request.contains(&format!("authorization: Basic {}\r\n", STANDARD.encode(format!("hub:{SECRET}"))))
        && request.ends_with("grant_type=client_credentials&scope=kafka%20write");
    let (status, body) = match right {
        true => (
            "200 OK",
            format!(r#"{{"access_token":"{}","token_type":"Bearer","expires_in":3600}}"#, token("hub", 3600)),
        ),
        false => ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned()),
    };
    asked.fetch_add(usize::from(right), Ordering::Relaxed);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

/// A request with its body, whose length the head says.
async fn read(stream: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut bytes = [0u8; 4096];
        let count = stream.read(&mut bytes).await?;
        text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
        if count == 0 || (text.contains("\r\n\r\n") && body.len() >= length.unwrap_or(0)) {
            return Ok(text);
        }
    }
}
