//! The registry is down, refuses, resets or hangs: 502 or 504 within `registry.timeout`, and the record stays.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use super::{House, SLACK, TIMEOUT, each_way, timed, unavailable};
use crate::support::connection::Connection;
use crate::support::door::Door;
use crate::support::http::http_client;
use crate::support::image::Image;
use crate::support::relay::Fault;
use crate::support::state::record;
use crate::support::wait::until;

/// A house whose registry has one image, and another image whose blobs are there.
async fn furnished() -> (House, Image) {
    let house = House::open().await;
    Image::small(1).push(&house.door.url(), "team/app", "latest").await;
    let next = Image::small(2);
    next.push_blobs(&house.door.url(), "team/app").await;
    (house, next)
}

/// After the fault: the same push succeeds, and everything is in step.
async fn works_again(house: &House, next: &Image) {
    house.until_settled().await;
    assert_eq!(next.put(&house.door.url(), "team/app", "latest").await.status(), 201);
    assert_eq!(house.recorded("team/app", "latest").await.as_ref(), Some(&next.digest));
    house.assert_in_step().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_refuses_connections_is_502_and_changes_nothing() {
    let mut registry = crate::support::registry::Registry::start().await;
    let door = Door::builder(registry.url()).set("REGISTRY__TIMEOUT", "1s").start().await;
    Image::small(1).push(&door.url(), "team/app", "latest").await;
    let next = Image::small(2);
    next.push_blobs(&door.url(), "team/app").await;
    let before = record(&door.url()).await;

    registry.stop().await;
    for (what, request) in each_way(&http_client(), &door.url(), &next) {
        let (response, took) = timed(request).await;
        let message = unavailable(response, 502).await;
        assert!(message.contains("the registry"), "{what}: {message}");
        assert!(took < TIMEOUT + SLACK, "{what}: {took:?}");
    }
    assert_eq!(record(&door.url()).await, before);
    let status = door.get_json("/api/v1/status").await;
    assert_eq!(status["open_intents"], 0, "the registry has heard nothing: {status}");

    registry.restart().await;
    until("ready again", super::SOON, async || {
        http_client().get(format!("{}/readyz", door.url())).send().await.unwrap().status() == 200
    })
    .await;
    assert_eq!(next.put(&door.url(), "team/app", "latest").await.status(), 201);
    crate::support::state::assert_in_step(&door.url(), &registry.url(), super::SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_resets_connections_is_502_and_the_write_is_asked_about_when_it_is_back() {
    let (house, next) = furnished().await;
    let before = house.record().await;
    house.relay.script(|_| Fault::ResetBefore);
    for (what, request) in each_way(&http_client(), &house.door.url(), &next) {
        let (response, took) = timed(request).await;
        let message = unavailable(response, 502).await;
        assert!(message.contains("the registry"), "{what}: {message}");
        assert!(took < TIMEOUT + SLACK, "{what}: {took:?}");
    }
    assert_eq!(house.record().await, before);
    assert_eq!(house.open_intents().await, 1, "nobody knows what became of the PUT");
    house.heal();
    house.until_settled().await;
    assert_eq!(house.record().await, before);
    works_again(&house, &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_hangs_is_504_within_the_timeout_and_the_write_is_asked_about_when_it_is_back() {
    let (house, next) = furnished().await;
    let before = house.record().await;
    house.relay.script(|_| Fault::HangBefore);
    for (what, request) in each_way(&http_client(), &house.door.url(), &next) {
        let (response, took) = timed(request).await;
        let message = unavailable(response, 504).await;
        assert!(message.contains("the registry"), "{what}: {message}");
        assert!((TIMEOUT..TIMEOUT + SLACK).contains(&took), "{what}: {took:?}");
    }
    assert_eq!(house.record().await, before);
    assert_eq!(house.open_intents().await, 1, "nobody knows what became of the PUT");
    house.heal();
    house.until_settled().await;
    assert_eq!(house.record().await, before);
    works_again(&house, &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_answer_says_so_when_its_connection_ends() {
    let (house, _) = furnished().await;
    for fault in [Fault::HangBefore, Fault::ResetBefore] {
        house.relay.script(move |_| fault.clone());
        let mut connection = Connection::open(house.door.address()).await;
        let answer = connection.ask("GET", "/v2/team/app/manifests/latest", "", b"").await;
        assert_eq!(answer.head.status / 100, 5, "{answer:?}");
        if answer.head.get("connection") == Some("close") {
            assert_eq!(connection.rest().await, b"", "nothing comes after the end that was announced");
        } else {
            let next = connection.ask("GET", "/healthz", "", b"").await;
            assert_eq!(next.head.status, 200, "a connection that was not said to end goes on");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_the_registry_lets_hang_or_breaks_off_ends_with_504_or_502() {
    let (house, next) = furnished().await;
    let client = http_client();
    for (fault, status) in [(Fault::HangBefore, 504), (Fault::ResetBefore, 502)] {
        house.heal();
        let url = format!("{}/v2/team/app/blobs/uploads/", house.door.url());
        let started = client.post(url).send().await.unwrap();
        let location = started.headers()["location"].to_str().unwrap().to_owned();
        house.relay.script(move |_| fault.clone());
        let request = client.patch(&location).body(vec![7; 300_000]);
        let (response, took) = timed(request).await;
        let message = unavailable(response, status).await;
        assert!(message.contains("the registry"), "{message}");
        assert!(took < TIMEOUT + SLACK, "{took:?}");
    }
    house.heal();
    works_again(&house, &next).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_accepts_no_connection_is_502_or_504_within_the_timeout() {
    // A socket whose queue is full: the system lets further connections wait for ever.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(std::time::Duration::from_millis(200), TcpStream::connect(address)).await
    {
        waiting.push(stream);
        assert!(waiting.len() < 50, "the queue is never full");
    }
    let door = Door::builder(format!("http://{address}")).set("REGISTRY__TIMEOUT", "1s");
    let door = door.start_listening().await;
    let image = Image::small(1);
    for (what, request) in each_way(&http_client(), &door.url(), &image) {
        let (response, took) = timed(request).await;
        let status = response.status().as_u16();
        assert!([502, 504].contains(&status), "{what}: {status}");
        let message = unavailable(response, status).await;
        assert!(message.contains("the registry"), "{what}: {message}");
        assert!(took < TIMEOUT + SLACK, "{what}: {took:?}");
    }
    assert!(record(&door.url()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_the_registry_took_before_it_went_down_is_recorded_when_it_is_back() {
    let (mut house, next) = furnished().await;
    house.fault_writes(Fault::HangAfter);
    let door = house.door.url();
    let response = next.put(&door, "team/app", "latest");
    let taken = async {
        until("the registry has the write", super::SOON, async || {
            let url = format!("{}/v2/team/app/manifests/{}", house.registry.url(), next.digest);
            let accept = crate::support::state::ACCEPT_ALL;
            http_client().head(url).header("accept", accept).send().await.unwrap().status() == 200
        })
        .await;
    };
    let (response, ()) = tokio::join!(response, taken);
    house.registry.stop().await;
    house.heal();
    unavailable(response, 504).await;
    house.registry.restart().await;
    house.until_recorded("team/app", "latest", Some(&next.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_left_open_when_door_and_registry_went_down_is_recorded_when_both_are_back() {
    let (mut house, next) = furnished().await;
    house.fault_writes(Fault::HangAfter);
    unavailable(next.put(&house.door.url(), "team/app", "latest").await, 504).await;
    house.door.kill().await;
    house.registry.stop().await;
    house.heal();
    tokio::join!(house.door.restart(), house.registry.restart());
    house.until_recorded("team/app", "latest", Some(&next.digest)).await;
    house.assert_in_step().await;
    house.until_settled().await;
}
