//! A bare HTTP/1.1 client on one connection that stays open: the load shall cost as little as possible.

use anyhow::{Context, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};

/// Largest answer, its head included.
const ANSWER_MAX: usize = 4 << 20;
/// Bytes that are asked for at once.
const READ: usize = 4 * 1024;

/// One connection.
#[derive(Debug)]
pub(crate) struct Wire<S = TcpStream> {
    stream: S,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// Status.
    pub(crate) status: u16,
    /// Body.
    pub(crate) body: Vec<u8>,
}

impl Wire {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub(crate) async fn connect(address: impl ToSocketAddrs) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// On a connection that is open already (TLS).
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ) }
    }

    /// POST of a JSON body.
    ///
    /// # Errors
    /// When the connection breaks or the answer cannot be read.
    pub(crate) async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> anyhow::Result<Reply> {
        let mut request = Vec::with_capacity(256 + body.len());
        request.extend_from_slice(format!("POST {path} HTTP/1.1\r\nhost: hub\r\n").as_bytes());
        request.extend_from_slice(b"content-type: application/json\r\n");
        request.extend_from_slice(format!("{headers}content-length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        self.exchange(&request).await
    }

    /// GET.
    ///
    /// # Errors
    /// When the connection breaks or the answer cannot be read.
    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Reply> {
        self.exchange(format!("GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n").as_bytes()).await
    }

    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<Reply> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let (status, length) = read_head(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        Ok(Reply { status, body: self.buffer[head..head + length].to_vec() })
    }

    async fn more(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() > ANSWER_MAX {
            bail!("the answer is larger than {ANSWER_MAX} bytes");
        }
        self.buffer.reserve(READ);
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => bail!("the connection was closed before the answer was whole"),
            _ => Ok(()),
        }
    }
}

/// Status and length of the body.
fn read_head(head: &[u8]) -> anyhow::Result<(u16, usize)> {
    let text = std::str::from_utf8(head).context("the head of the answer is not text")?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no status line")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok((status, length.context("the answer has no Content-Length")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_in_pieces_is_put_together_and_the_connection_goes_on() {
        let (near, mut far) = tokio::io::duplex(1024);
        let server = tokio::spawn(async move {
            let mut got = vec![0; 1024];
            for _ in 0..2 {
                let _ = far.read(&mut got).await.unwrap();
                far.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Le").await.unwrap();
                far.write_all(b"ngth: 5\r\n\r\nhel").await.unwrap();
                far.write_all(b"lo").await.unwrap();
            }
        });
        let mut wire = Wire::over(near);
        let hello = Reply { status: 202, body: b"hello".to_vec() };
        assert_eq!(wire.post("/x", "", b"{}").await.unwrap(), hello);
        assert_eq!(wire.get("/x").await.unwrap(), hello);
        server.await.unwrap();
    }
}
