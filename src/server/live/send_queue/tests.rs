use super::*;
use crate::model::RoomId;
use std::fmt::Write;
use tokio::{io::AsyncReadExt, net::TcpListener};
use uuid::Uuid;

fn uncorked_queue(bound: usize) -> Arc<SendQueue> {
    let outlet = SendQueue::new(&Flusher::default(), bound);
    outlet.uncork(&[]);
    outlet
}

fn bytes(count: usize) -> EncodedFrame {
    EncodedFrame {
        bytes: vec![b'x'; count].into(),
        position: None,
    }
}

fn event(stream: Stream, seq: Seq) -> EncodedFrame {
    EncodedFrame {
        bytes: format!("{stream} {seq}").into(),
        position: Some((stream, seq)),
    }
}

fn taken(outlet: &SendQueue) -> Vec<String> {
    let pieces = outlet.take().unwrap();
    let text = |piece: Bytes| String::from_utf8(piece.to_vec()).unwrap();
    pieces.into_iter().map(text).collect()
}

/// Attaches a queue to a socket and returns the client's end of the connection.
async fn connected(outlet: &Arc<SendQueue>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    outlet.attach(Arc::new(server.unwrap().0));
    client.unwrap()
}

#[test]
fn taking_frees_capacity() {
    let outlet = uncorked_queue(10);
    for _ in 0..5 {
        outlet.push(bytes(10));
        assert_eq!(outlet.take().unwrap().len(), 1);
    }
}

#[test]
fn past_its_bound_it_holds_nothing_and_says_why() {
    let outlet = uncorked_queue(10);
    outlet.push(bytes(6));
    outlet.push(bytes(6));
    outlet.push(bytes(1));
    assert_eq!(
        outlet.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
    let state = outlet.lock();
    assert!(state.queue.is_empty() && state.queued_bytes == 0);
}

#[test]
fn a_frame_larger_than_the_bound_goes_to_a_client_that_keeps_up() {
    let outlet = uncorked_queue(10);
    outlet.push(bytes(20));
    assert_eq!(outlet.take().unwrap().len(), 1);
    outlet.push(bytes(20));
    outlet.push(bytes(1));
    assert_eq!(
        outlet.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
}

#[test]
fn what_is_held_back_counts_too() {
    let outlet = SendQueue::new(&Flusher::default(), 10);
    outlet.push(bytes(6));
    outlet.push(bytes(6));
    assert_eq!(
        outlet.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
}

#[test]
fn the_first_reason_stands() {
    let outlet = uncorked_queue(10);
    outlet.close(CloseCode::SignedOut);
    outlet.close(CloseCode::GoingAway);
    assert_eq!(
        outlet.take(),
        Err(ConnectionEnd::Closed(CloseCode::SignedOut))
    );
}

#[tokio::test]
async fn a_replay_comes_before_newer_events_and_nothing_comes_twice() {
    let (room, other) = (
        Stream::Room(RoomId(Uuid::from_u128(1))),
        Stream::Room(RoomId(Uuid::from_u128(2))),
    );
    let outlet = SendQueue::new(&Flusher::default(), 10_000);
    outlet.push(event(room, 2));
    outlet.push(event(other, 1));
    outlet.push(event(room, 3));
    outlet.send("replayed up to 2".into()).await.unwrap();
    outlet.uncork(&[(room, 2)]);
    let said = taken(&outlet);
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], "replayed up to 2");
    assert!(said[1].starts_with(&other.to_string()) && said[2].ends_with(" 3"));
    // Committed before the replay was read, but fanned out after it was sent.
    let outlet = SendQueue::new(&Flusher::default(), 10_000);
    outlet.uncork(&[(room, 2)]);
    for seq in 1..=3 {
        outlet.push(event(room, seq));
    }
    assert_eq!(taken(&outlet), [format!("{room} 3")]);
    assert!(
        outlet.lock().replayed_up_to.is_empty(),
        "and it is forgotten"
    );
}

#[tokio::test]
async fn what_is_pushed_is_written_in_order() {
    let flusher = Flusher::start();
    let outlet = SendQueue::new(&flusher, 1_000_000);
    let mut client = connected(&outlet).await;
    outlet.uncork(&[]);
    let mut expected = String::new();
    for seq in 0..5_000 {
        outlet.push(event(Stream::News, seq));
        write!(expected, "{} {seq}", Stream::News).unwrap();
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut said = vec![0; expected.len()];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(String::from_utf8(said).unwrap(), expected);
}

#[tokio::test]
async fn what_a_burst_took_is_given_back() {
    let outlet = uncorked_queue(10_000);
    for _ in 0..100 {
        outlet.push(bytes(10));
    }
    assert!(outlet.lock().queue.capacity() >= 100);
    let _client = connected(&outlet).await;
    outlet.clone().drain().await;
    let state = outlet.lock();
    assert!(state.queue.is_empty() && state.queue.capacity() <= RETAINED_FRAME_CAPACITY);
}

#[tokio::test]
async fn a_client_that_stops_reading_learns_why_when_it_resumes_reading() {
    const BOUND: usize = 100_000;
    let flusher = Flusher::start();
    let outlet = SendQueue::new(&flusher, BOUND);
    let mut client = connected(&outlet).await;
    outlet.uncork(&[]);
    let ended = tokio::spawn({
        let outlet = outlet.clone();
        async move { outlet.closed().await }
    });
    while !ended.is_finished() {
        outlet.push(bytes(1_000));
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ended.await.unwrap(),
        ConnectionEnd::Closed(CloseCode::TooSlow)
    );
    let told = tokio::spawn({
        let outlet = outlet.clone();
        async move {
            outlet.finish("farewell".into()).await;
            outlet.abort();
        }
    });
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    told.await.unwrap();
    assert!(said.ends_with(b"farewell"));
    // A frame that was begun must be completed, or the receiver could not find the next.
    assert_eq!((said.len() - "farewell".len()) % 1_000, 0);
}

#[tokio::test]
async fn a_replay_longer_than_the_bound_waits_for_the_client_instead_of_ending_it() {
    const BOUND: usize = 10_000;
    let flusher = Flusher::start();
    let outlet = SendQueue::new(&flusher, BOUND);
    let mut client = connected(&outlet).await;
    let said = tokio::spawn({
        let outlet = outlet.clone();
        async move {
            for _ in 0..1_000 {
                outlet.send(vec![b'x'; 5_000].into()).await.unwrap();
                assert!(outlet.lock().queued_bytes <= BOUND);
            }
        }
    });
    let mut heard = vec![0; 5_000 * 1_000];
    client.read_exact(&mut heard).await.unwrap();
    said.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_closes_the_send_queue() {
    let flusher = Flusher::start();
    let outlet = SendQueue::new(&flusher, 1_000_000);
    drop(connected(&outlet).await);
    outlet.uncork(&[]);
    let ended = async {
        loop {
            outlet.push(bytes(1_000));
            tokio::select! {
                ended = outlet.closed() => return ended,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    };
    let ended = timeout(Duration::from_secs(5), ended).await;
    assert_eq!(ended, Ok(ConnectionEnd::Disconnected));
}
