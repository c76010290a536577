//! Every interleaving of commits and deliveries with the loading of a tail.

use super::*;
use crate::server::store::StreamState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Commit(Seq),
    Deliver(Seq),
    InsertTail,
    ReadHead,
    FinishLoading,
}

/// Merges the steps of tasks in every way that keeps the order of each task.
fn interleavings(tasks: &[&[Step]]) -> Vec<Vec<Step>> {
    if tasks.iter().all(|task| task.is_empty()) {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, task) in tasks.iter().enumerate() {
        let Some((first, rest)) = task.split_first() else {
            continue;
        };
        let mut tasks = tasks.to_vec();
        tasks[at] = rest;
        for later in interleavings(&tasks) {
            all.push([vec![*first], later].concat());
        }
    }
    all
}

/// A stream whose subscribers are connected before the first step.
#[derive(Default)]
struct World {
    committed: Seq,
    read_head: Seq,
    published: Vec<Seq>,
    has_gap: bool,
}

impl World {
    fn run(&mut self, tails: &Tails, step: Step) {
        match step {
            Step::Commit(seq) => self.committed = seq,
            Step::Deliver(seq) => self.deliver(tails, seq),
            Step::InsertTail => drop(tails.get_or_insert_tail(Stream::News)),
            Step::ReadHead => self.read_head = self.committed,
            Step::FinishLoading => {
                let cached = CachedStream::new(StreamState {
                    epoch: Epoch("a".into()),
                    head: self.read_head,
                    oldest: 1,
                });
                let (tail, _) = tails.get_or_insert_tail(Stream::News);
                tail.lock().set_loaded(cached, tails.max_events);
            }
        }
    }

    fn deliver(&mut self, tails: &Tails, seq: Seq) {
        let publish = |event: &EncodedEvent| self.published.push(event.seq);
        self.has_gap |= tails.deliver(&event(seq), publish) == PublishOutcome::Gap;
    }

    fn catch_up(&mut self, tails: &Tails) {
        if self.has_gap {
            let (tail, _) = tails.get_or_insert_tail(Stream::News);
            let (_, head) = tail.position().unwrap();
            for seq in head + 1..=self.committed {
                self.deliver(tails, seq);
            }
        }
    }
}

fn published_in(order: &[Step]) -> Vec<Seq> {
    let (tails, mut world) = (Tails::new(100), World::default());
    for step in order {
        world.run(&tails, *step);
    }
    world.catch_up(&tails);
    world.published
}

const LOADING: [Step; 3] = [Step::InsertTail, Step::ReadHead, Step::FinishLoading];

#[test]
fn whenever_a_tail_is_loaded_each_event_of_this_node_is_published_once_and_in_order() {
    let writer = [
        Step::Commit(1),
        Step::Deliver(1),
        Step::Commit(2),
        Step::Deliver(2),
    ];
    let orders = interleavings(&[&writer, &LOADING]);
    assert_eq!(orders.len(), 35);
    for order in orders {
        assert_eq!(published_in(&order), [1, 2], "{order:?}");
    }
}

#[test]
fn whenever_a_tail_is_loaded_and_the_bus_delivers_no_event_is_left_out() {
    let (here, there) = (
        [Step::Commit(1), Step::Deliver(1)],
        [Step::Commit(2), Step::Deliver(2)],
    );
    let is_possible = |order: &Vec<Step>| {
        let at = |step| order.iter().position(|other| *other == step);
        at(Step::Commit(1)) < at(Step::Commit(2))
    };
    let orders = interleavings(&[&here, &there, &LOADING]).into_iter();
    let orders: Vec<_> = orders.filter(is_possible).collect();
    assert_eq!(orders.len(), 105);
    for order in orders {
        let mut published = published_in(&order);
        published.sort_unstable();
        published.dedup();
        assert_eq!(published, [1, 2], "{order:?}");
    }
}
