//! How many messages Rialto takes, and how soon it says that it has them.

use anyhow::Result;

use super::{Scene, Sink, Size};
use crate::{
    load::{histogram::Latencies, subscriber::Acks},
    peers::{Peers, rialto},
    report::results::Measure,
};

/// How many people send.
pub(super) const SENDERS: usize = 50;

/// Messages per second when the acknowledgement is timed.
const RATE: u32 = 500;

/// First everybody sends the next message as soon as the last one is acknowledged; then all together 500 a second.
pub(super) fn run(peers: &mut Peers, sink: &mut Sink<'_>, size: Size) -> Result<()> {
    let mut scene = Scene::open(peers, sink.subject, SENDERS)?;
    run_on(&mut scene, sink, size, [Measure::Acks, Measure::AckP99])
}

/// The same with senders who are connected already, noting it as these two.
pub(super) fn run_on(
    scene: &mut Scene,
    sink: &mut Sink<'_>,
    size: Size,
    [acks_measure, p99_measure]: [Measure; 2],
) -> Result<()> {
    if let Some(publishing) = scene.server.publishing.take() {
        scene.load.publish_with(publishing, SENDERS, 1)?;
    }
    for sender in &mut scene.load.subscribers {
        sender.acks = Some(Acks::new(rialto::SENT));
    }
    scene.load.answer_by_answer(size.window / 4)?;
    take(scene);
    scene.load.answer_by_answer(size.window)?;
    let acks = take(scene);
    sink.add(acks_measure, acks.0 as f64 / size.window.as_secs_f64());
    scene.load.paced(RATE, size.window / 4, |_| Ok(()))?;
    take(scene);
    scene.load.paced(RATE, size.window, |_| Ok(()))?;
    let (_, p99) = take(scene);
    sink.add(p99_measure, p99);
    Ok(())
}

/// How many acknowledgements came since the last time, and the 99th percentile of them all in milliseconds.
fn take(scene: &mut Scene) -> (u64, f64) {
    let (mut count, mut all) = (0, Latencies::default());
    for acks in scene
        .load
        .subscribers
        .iter_mut()
        .filter_map(|one| one.acks.as_mut())
    {
        let latencies = std::mem::take(&mut acks.latencies);
        count += latencies.count();
        all.add(&latencies);
    }
    (count, all.quantile(0.99).unwrap_or(f64::NAN))
}
