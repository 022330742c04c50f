//! The way between one hub and the brokers, which can be cut at each broker: then nothing passes, and nobody is told.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A proxy before one broker. Ends when dropped.
pub(crate) struct Wire {
    pub(crate) address: String,
    upstream: Arc<OnceLock<SocketAddr>>,
    cut: watch::Sender<bool>,
    accept: JoinHandle<()>,
}

impl Wire {
    /// On a free port; it leads nowhere yet.
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (upstream, cut) = (Arc::new(OnceLock::new()), watch::Sender::new(false));
        let accept = tokio::spawn(accept(listener, upstream.clone(), cut.subscribe()));
        Self { address, upstream, cut, accept }
    }

    pub(crate) fn leads_to(&self, address: &str) {
        self.upstream.set(address.parse().expect("an address")).expect("said once");
    }

    pub(crate) fn cut(&self, cut: bool) {
        let _before = self.cut.send_replace(cut);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, upstream: Arc<OnceLock<SocketAddr>>, cut: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else { continue };
        if let Some(upstream) = upstream.get().copied() {
            let _handle = connections.spawn(pass(client, upstream, cut.clone()));
        }
    }
}

/// Passes everything on until the cut; what is open then stays open and silent until the cut is mended, and ends.
async fn pass(mut client: TcpStream, upstream: SocketAddr, mut cut: watch::Receiver<bool>) {
    let both = async {
        let mut server = TcpStream::connect(upstream).await?;
        drop((client.set_nodelay(true), server.set_nodelay(true)));
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    let mut again = cut.clone();
    tokio::select! {
        biased;
        () = becomes(&mut cut, true) => becomes(&mut again, false).await,
        _ = both => {}
    }
}

async fn becomes(cut: &mut watch::Receiver<bool>, wanted: bool) {
    drop(cut.wait_for(|is| *is == wanted).await);
}
