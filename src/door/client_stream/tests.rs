//! A client's connection over a real socket.

use std::error::Error;

use std::io;
use std::os::fd::AsRawFd;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::door::client_connection::ConnectionTimeouts;

type TestResult = Result<(), Box<dyn Error>>;

const FOREVER: Duration = Duration::from_secs(3_600);

async fn pair() -> Result<(ClientStream, TcpStream), Box<dyn Error>> {
    let (mut door, client) = pair_within(FOREVER).await?;
    door.coalesce_writes();
    Ok((door, client))
}

/// Where the client has so long for a head.
async fn pair_within(head: Duration) -> Result<(ClientStream, TcpStream), Box<dyn Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    let (stream, _) = listener.accept().await?;
    let socket = SocketDigest::from_raw_fd(stream.as_raw_fd());
    let connection = Arc::new(ClientConnection::new(ConnectionTimeouts { head, idle: FOREVER }));
    Ok((ClientStream::new(stream, socket, connection, Duration::from_secs(60)), client))
}

#[tokio::test]
async fn what_was_read_to_see_the_beginning_is_read_again() -> TestResult {
    for (sent, begins) in [("PRI * body", true), ("PUT /", false), ("P", false)] {
        let (mut door, mut client) = pair_within(FOREVER).await?;
        client.write_all(sent.as_bytes()).await?;
        client.shutdown().await?;
        let begun = door.begins_with(b"PRI *").await;
        assert_eq!(begun.ok(), (sent.len() > 1).then_some(begins), "{sent}");
        if sent.len() > 1 {
            let mut received = String::new();
            door.read_to_string(&mut received).await?;
            assert_eq!(received, sent);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_always_sends_and_never_comes_to_a_request_is_given_up() -> TestResult {
    let (mut door, mut client) = pair_within(Duration::from_millis(50)).await?;
    let sending = tokio::spawn(async move { while client.write_all(&[7; 64]).await.is_ok() {} });
    let mut piece = [0; 64];
    let error = loop {
        if let Err(error) = door.read(&mut piece).await {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(door);
    sending.await?;
    Ok(())
}

#[tokio::test]
async fn a_short_write_leaves_together_with_the_next_one() -> TestResult {
    let (mut door, mut client) = pair().await?;
    door.write_all(b"head").await?;
    assert_eq!(client.try_read(&mut [0; 8]).map_err(|error| error.kind()), Err(io::ErrorKind::WouldBlock));
    door.write_all(b" body").await?;
    let mut received = [0; 9];
    assert_eq!(client.read(&mut received).await?, 9);
    assert_eq!(&received, b"head body");
    Ok(())
}

#[tokio::test]
async fn a_flush_and_an_end_send_what_is_held() -> TestResult {
    let (mut door, mut client) = pair().await?;
    door.write_all(b"100 ").await?;
    door.flush().await?;
    let mut received = [0; 4];
    client.read_exact(&mut received).await?;
    door.write_all(b"rest").await?;
    AsyncWriteExt::shutdown(&mut door).await?;
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await?;
    assert_eq!((&received, rest.as_slice()), (b"100 ", b"rest".as_slice()));
    Ok(())
}

#[tokio::test]
async fn bytes_arrive_in_order_however_slowly_they_are_read() -> TestResult {
    let (mut door, mut client) = pair().await?;
    let sizes = [1, MAXIMUM_HELD, MAXIMUM_HELD + 1, 3, 5_000_000, 2, MAXIMUM_HELD - 1, 1_000_000, 7];
    let sent: Vec<u8> = (0..sizes.iter().sum::<usize>()).map(|index| (index % 251) as u8).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        let mut rest = sent.as_slice();
        for size in sizes {
            let (now, later) = rest.split_at(size);
            door.write_all(now).await?;
            rest = later;
        }
        AsyncWriteExt::shutdown(&mut door).await
    });
    let mut received = Vec::new();
    let mut piece = vec![0; 10_000];
    loop {
        let length = client.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        received.extend_from_slice(&piece[..length]);
        tokio::task::yield_now().await;
    }
    writing.await??;
    assert!(received == expected, "{} bytes of {}", received.len(), expected.len());
    Ok(())
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_waited_for_no_longer_than_its_time() -> TestResult {
    let (mut door, client) = pair().await?;
    door.write_timeout = WriteTimeout::new(Duration::from_millis(50));
    let piece = vec![7; 1_000_000];
    let written = loop {
        if let Err(error) = door.write_all(&piece).await {
            break error;
        }
    };
    assert_eq!(written.kind(), io::ErrorKind::TimedOut);
    assert_eq!(door.write_all(b"held").await.map_err(|error| error.kind()), Ok(()));
    assert_eq!(door.flush().await.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    drop(client);
    Ok(())
}
