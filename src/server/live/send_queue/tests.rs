use super::*;
use crate::model::RoomId;
use std::fmt::Write;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
};
use uuid::Uuid;

fn uncorked_queue(bound: usize) -> Arc<SendQueue> {
    let send_queue = SendQueue::new(&Flusher::default(), bound);
    send_queue.uncork(&[]);
    send_queue
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

fn taken(send_queue: &SendQueue) -> Vec<String> {
    let pieces = send_queue.take().unwrap();
    let text = |encoded: Bytes| String::from_utf8(encoded.to_vec()).unwrap();
    pieces.into_iter().map(text).collect()
}

async fn connected(send_queue: &Arc<SendQueue>) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(client, listener.accept());
    send_queue.attach(Arc::new(server.unwrap().0.into()));
    client.unwrap()
}

#[test]
fn taking_frees_capacity() {
    let send_queue = uncorked_queue(10);
    for _ in 0..5 {
        send_queue.push(bytes(10));
        assert_eq!(send_queue.take().unwrap().len(), 1);
    }
}

#[test]
fn past_its_bound_it_holds_nothing_and_says_why() {
    let send_queue = uncorked_queue(10);
    send_queue.push(bytes(6));
    send_queue.push(bytes(6));
    send_queue.push(bytes(1));
    assert_eq!(
        send_queue.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
    let state = send_queue.lock();
    assert!(state.queue.is_empty() && state.queued_bytes == 0);
}

#[test]
fn a_frame_larger_than_the_bound_goes_to_a_client_that_keeps_up() {
    let send_queue = uncorked_queue(10);
    send_queue.push(bytes(20));
    assert_eq!(send_queue.take().unwrap().len(), 1);
    send_queue.push(bytes(20));
    send_queue.push(bytes(1));
    assert_eq!(
        send_queue.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
}

#[test]
fn what_is_held_back_counts_too() {
    let send_queue = SendQueue::new(&Flusher::default(), 10);
    send_queue.push(bytes(6));
    send_queue.push(bytes(6));
    assert_eq!(
        send_queue.take(),
        Err(ConnectionEnd::Closed(CloseCode::TooSlow))
    );
}

#[test]
fn the_first_reason_stands() {
    let send_queue = uncorked_queue(10);
    send_queue.close(CloseCode::SignedOut);
    send_queue.close(CloseCode::GoingAway);
    assert_eq!(
        send_queue.take(),
        Err(ConnectionEnd::Closed(CloseCode::SignedOut))
    );
}

#[tokio::test]
async fn a_replay_comes_before_newer_events_and_nothing_comes_twice() {
    let (room, other) = (
        Stream::Room(RoomId(Uuid::from_u128(1))),
        Stream::Room(RoomId(Uuid::from_u128(2))),
    );
    let send_queue = SendQueue::new(&Flusher::default(), 10_000);
    send_queue.push(event(room, 2));
    send_queue.push(event(other, 1));
    send_queue.push(event(room, 3));
    send_queue.send("replayed up to 2".into()).await.unwrap();
    send_queue.uncork(&[(room, 2)]);
    let received = taken(&send_queue);
    assert_eq!(received.len(), 3, "{received:?}");
    assert_eq!(received[0], "replayed up to 2");
    assert!(received[1].starts_with(&other.to_string()) && received[2].ends_with(" 3"));
    // Committed before the replay was read, but fanned out after it was sent.
    let send_queue = SendQueue::new(&Flusher::default(), 10_000);
    send_queue.uncork(&[(room, 2)]);
    for seq in 1..=3 {
        send_queue.push(event(room, seq));
    }
    assert_eq!(taken(&send_queue), [format!("{room} 3")]);
    assert!(
        send_queue.lock().replayed_up_to.is_empty(),
        "and it is forgotten"
    );
}

#[tokio::test]
async fn corked_events_are_kept_behind_a_replay_larger_than_the_bound() {
    let send_queue = SendQueue::new(&Flusher::default(), 100);
    send_queue.push(bytes(30));
    send_queue.push(bytes(40));
    send_queue.send(bytes(90).bytes).await.unwrap();
    send_queue.uncork(&[]);
    assert_eq!(send_queue.queued_bytes(), 160);
    let lengths: Vec<_> = send_queue.take().unwrap().iter().map(Bytes::len).collect();
    assert_eq!(lengths, [90, 30, 40]);
}

#[tokio::test]
async fn what_is_pushed_is_written_in_order() {
    let flusher = Flusher::start();
    let send_queue = SendQueue::new(&flusher, 1_000_000);
    let mut client = connected(&send_queue).await;
    send_queue.uncork(&[]);
    let mut expected = String::new();
    for seq in 0..5_000 {
        send_queue.push(event(Stream::News, seq));
        write!(expected, "{} {seq}", Stream::News).unwrap();
        if seq % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut received = vec![0; expected.len()];
    client.read_exact(&mut received).await.unwrap();
    assert_eq!(String::from_utf8(received).unwrap(), expected);
}

#[tokio::test]
async fn what_a_burst_took_is_given_back() {
    let send_queue = uncorked_queue(10_000);
    for _ in 0..100 {
        send_queue.push(bytes(10));
    }
    assert!(send_queue.lock().queue.capacity() >= 100);
    let _client = connected(&send_queue).await;
    send_queue.clone().drain().await;
    let state = send_queue.lock();
    assert!(state.queue.is_empty() && state.queue.capacity() <= RETAINED_FRAME_CAPACITY);
}

#[tokio::test]
async fn a_client_that_stops_reading_learns_why_when_it_resumes_reading() {
    const BOUND: usize = 100_000;
    let flusher = Flusher::start();
    let send_queue = SendQueue::new(&flusher, BOUND);
    let mut client = connected(&send_queue).await;
    send_queue.uncork(&[]);
    let ended = tokio::spawn({
        let send_queue = send_queue.clone();
        async move { send_queue.closed().await }
    });
    while !ended.is_finished() {
        send_queue.push(bytes(1_000));
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ended.await.unwrap(),
        ConnectionEnd::Closed(CloseCode::TooSlow)
    );
    let told = tokio::spawn({
        let send_queue = send_queue.clone();
        async move {
            send_queue.finish("farewell".into()).await;
            send_queue.abort();
        }
    });
    let mut received = Vec::new();
    client.read_to_end(&mut received).await.unwrap();
    told.await.unwrap();
    assert!(received.ends_with(b"farewell"));
    // Begun frames are completed, so that the receiver finds the next.
    assert_eq!((received.len() - "farewell".len()) % 1_000, 0);
}

#[tokio::test]
async fn frames_queued_before_a_close_are_sent_before_its_reason() {
    let flusher = Flusher::start();
    let send_queue = SendQueue::new(&flusher, 1_000);
    send_queue.uncork(&[]);
    let mut client = connected(&send_queue).await;
    send_queue.push(event(Stream::News, 1));
    send_queue.push(event(Stream::News, 2));
    send_queue.close(CloseCode::SignedOut);
    send_queue.push(event(Stream::News, 3));
    // Nothing has been written yet: the shard runs on this thread.
    send_queue.finish("farewell".into()).await;
    send_queue.abort();
    let mut received = String::new();
    client.read_to_string(&mut received).await.unwrap();
    let news = Stream::News;
    assert_eq!(received, format!("{news} 1{news} 2farewell"));
}

#[tokio::test]
async fn a_replay_longer_than_the_bound_waits_for_the_client_instead_of_ending_it() {
    const BOUND: usize = 10_000;
    let flusher = Flusher::start();
    let send_queue = SendQueue::new(&flusher, BOUND);
    let mut client = connected(&send_queue).await;
    let received = tokio::spawn({
        let send_queue = send_queue.clone();
        async move {
            for _ in 0..1_000 {
                send_queue.send(vec![b'x'; 5_000].into()).await.unwrap();
                assert!(send_queue.lock().queued_bytes <= BOUND);
            }
        }
    });
    let mut heard = vec![0; 5_000 * 1_000];
    client.read_exact(&mut heard).await.unwrap();
    received.await.unwrap();
}

#[tokio::test]
async fn a_connection_that_breaks_closes_the_send_queue() {
    let flusher = Flusher::start();
    let send_queue = SendQueue::new(&flusher, 1_000_000);
    drop(connected(&send_queue).await);
    send_queue.uncork(&[]);
    let ended = async {
        loop {
            send_queue.push(bytes(1_000));
            tokio::select! {
                ended = send_queue.closed() => return ended,
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
        }
    };
    let ended = timeout(Duration::from_secs(5), ended).await;
    assert_eq!(ended, Ok(ConnectionEnd::Disconnected));
}
