//! A slow line in front of the door.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often something goes on.
const BEAT: Duration = Duration::from_millis(50);

/// A running line. Dropping it cuts it.
pub struct SlowLine {
    address: SocketAddr,
    _stop: DropGuard,
}

impl SlowLine {
    /// One that leads there. Each connection carries at most so many bytes a second in, and any number out.
    pub async fn start(to: SocketAddr, rate: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let accepting = stop.clone();
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move {
            loop {
                let Ok((client, _)) = listener.accept().await else { continue };
                tokio::spawn(accepting.clone().run_until_cancelled_owned(carry(client, to, rate)));
            }
        }));
        Self { address, _stop: stop.drop_guard() }
    }

    /// Where it begins.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn carry(client: TcpStream, to: SocketAddr, rate: usize) {
    let Ok(server) = TcpStream::connect(to).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut piece = vec![0; rate / (1000 / usize::try_from(BEAT.as_millis()).unwrap())];
    let inwards = async {
        while let Ok(length @ 1..) = from_client.read(&mut piece).await {
            if to_server.write_all(&piece[..length]).await.is_err() {
                break;
            }
            tokio::time::sleep(BEAT * u32::try_from(length).unwrap() / u32::try_from(piece.len()).unwrap())
                .await;
        }
        // The other side may still have something to say.
        let _ = to_server.shutdown().await;
    };
    let outwards = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::join!(inwards, outwards);
}
