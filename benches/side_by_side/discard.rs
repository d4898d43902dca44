//! A registry that takes uploads and keeps nothing, so that neither disk nor digest stands in the way of the proxies.
//!
//! Runs on threads of this process, one per connection; they end with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::Fault;

/// How much is read at a time.
const READ_BYTES: usize = 256 * 1024;

/// The longest line of a request.
const MAXIMUM_LINE_BYTES: u64 = 64 * 1024;

/// The identity of every upload.
const UPLOAD: &str = "6f1d3c5e-0f0b-4a52-9d0c-3a1b9b0d7e11";

/// Begins to take uploads; answers where.
pub fn start() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::Builder::new().name("discard".into()).spawn(move || {
        for stream in listener.incoming() {
            let served = stream.map_err(Fault::from).and_then(|stream| {
                thread::Builder::new().name("discard".into()).spawn(|| serve(stream))?;
                Ok(())
            });
            if let Err(error) = served {
                eprintln!("cannot take an upload: {error}");
            }
        }
    })?;
    Ok(address)
}

/// Serves one connection until it ends.
fn serve(stream: TcpStream) {
    let Ok(mut answers) = stream.set_nodelay(true).and_then(|()| stream.try_clone()) else { return };
    let mut requests = BufReader::with_capacity(READ_BYTES, stream);
    // A proxy closes a connection whenever it likes, and what fails here fails at its client, which tells.
    while let Ok(Some(answer)) = take(&mut requests) {
        if answers.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Reads one request with its body; answers what to say to it, and nothing when there is no request any more.
fn take(requests: &mut impl BufRead) -> Result<Option<String>, Fault> {
    let mut line = String::new();
    read_line(requests, &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let path = words.next().unwrap_or_default().to_owned();
    let mut length = 0;
    let mut chunked = false;
    loop {
        read_line(requests, &mut line)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        chunked |= header.strip_prefix("transfer-encoding:").is_some_and(|value| value.trim() == "chunked");
    }
    if chunked {
        loop {
            read_line(requests, &mut line)?;
            let size = u64::from_str_radix(line.trim_end(), 16)?;
            skip(requests, size)?;
            read_line(requests, &mut line)?;
            if size == 0 {
                break;
            }
        }
    } else {
        skip(requests, length)?;
    }
    let status = match method.as_str() {
        "POST" => format!("202 Accepted\r\nLocation: {path}{UPLOAD}"),
        "PATCH" => format!("202 Accepted\r\nLocation: {path}"),
        "PUT" => format!("201 Created\r\nLocation: {path}"),
        _ => "200 OK".to_owned(),
    };
    Ok(Some(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")))
}

fn read_line(requests: &mut impl BufRead, line: &mut String) -> Result<(), Fault> {
    line.clear();
    requests.take(MAXIMUM_LINE_BYTES).read_line(line)?;
    Ok(())
}

fn skip(requests: &mut impl BufRead, mut bytes: u64) -> Result<(), Fault> {
    while bytes > 0 {
        let here = requests.fill_buf()?.len();
        if here == 0 {
            return Err("the connection was closed within a body".into());
        }
        let skipped = usize::try_from(bytes).unwrap_or(usize::MAX).min(here);
        requests.consume(skipped);
        bytes -= skipped as u64;
    }
    Ok(())
}
