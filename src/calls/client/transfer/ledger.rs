//! What two pages say to each other about files, and what becomes of each file: plain data, no browser in it.
//!
//! Control messages are JSON as text, the bytes of a file go between them as binary messages, all over one ordered and reliable data
//! channel. A file goes in pieces; each is announced with its SHA-256 and sent in chunks. The receiver says how much is there and was
//! right. The hash of all those hashes, in order, is the file's.

use crate::model::Millis;
use serde::{Deserialize, Serialize};

/// The size of a piece in bytes; the last one of a file may be smaller.
pub(super) const PIECE: u64 = 1_024 * 1_024;
/// The most bytes in one message: what every browser takes (RFC 8841 section 6).
pub(super) const CHUNK: u32 = 64 * 1_024;
/// So many offers may wait for an answer; further ones are declined.
const MOST_WAITING: usize = 20;
/// The most characters of a name.
const LONGEST_NAME: usize = 255;
/// How often the speed is looked at, in milliseconds.
const LOOK: Millis = 1_000;

/// What one page says to the other. Ids are the sender's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum Say {
    /// The sender has a file.
    Offer {
        /// Which.
        id: u32,
        /// What it is called.
        name: String,
        /// In bytes.
        size: u64,
    },
    /// The receiver wants it.
    Accept {
        /// Which.
        id: u32,
    },
    /// The receiver does not want it, or no more of it.
    Decline {
        /// Which.
        id: u32,
    },
    /// The sender does not send it, or no more of it.
    Withdraw {
        /// Which.
        id: u32,
    },
    /// The chunks of the next piece follow.
    Piece {
        /// Of which.
        id: u32,
        /// SHA-256, hexadecimal.
        hash: String,
    },
    /// The receiver has this much.
    Got {
        /// Of which.
        id: u32,
        /// So many bytes, and they are right.
        bytes: u64,
    },
    /// That was all.
    End {
        /// Of which.
        id: u32,
        /// SHA-256 of the hashes of all pieces, hexadecimal.
        hash: String,
    },
    /// The receiver has all of it.
    Kept {
        /// Of which.
        id: u32,
        /// Whether it is right.
        whole: bool,
    },
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// To the other one.
    Out,
    /// From the other one.
    In,
}

/// Why a file did not get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// Whoever was to receive it did not want it, or no more of it.
    Declined,
    /// Whoever sent it gave up.
    Withdrawn,
    /// What came is not what was sent.
    Damaged,
    /// The file could not be read or kept.
    Unreadable,
    /// The call ended before.
    Over,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Nobody has said whether it is wanted.
    Offered,
    /// It is wanted, and on its way or waiting for others.
    Going,
    /// It is there, and right.
    Whole,
    /// It will not get there.
    Stopped(Stop),
}

/// A file on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Transfer {
    /// Among those that go the same way.
    pub id: u32,
    /// Which way.
    pub way: Way,
    /// What it is called.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// How far it is.
    pub stage: Stage,
    /// How many bytes are there, and right.
    pub done: u64,
    /// Bytes a second, lately; none before that can be said.
    pub speed: Option<f64>,
    /// Where the browser keeps it, once it is whole.
    pub url: Option<String>,
    /// Since when the speed is looked at, and how much was there then.
    mark: Option<(Millis, u64)>,
}

/// What follows from what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// Begin to send it.
    Send(u32),
    /// Say that it is not wanted.
    Decline(u32),
    /// Forget what is there of it.
    Forget(Way, u32),
}

/// All files of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    list: Vec<Transfer>,
    offered: u32,
}

impl Stage {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Whole | Self::Stopped(_))
    }
}

impl Ledger {
    /// All of them, the oldest first.
    pub(super) fn list(&self) -> &[Transfer] {
        &self.list
    }

    /// Offers a file. What to say.
    pub(super) fn offer(&mut self, name: &str, size: u64) -> Say {
        self.offered += 1;
        let id = self.offered;
        self.add(Way::Out, id, name, size);
        Say::Offer {
            id,
            name: name.to_owned(),
            size,
        }
    }

    /// What is offered and not answered yet.
    pub(super) fn offers(&self) -> Vec<Say> {
        let waiting = |it: &&Transfer| it.way == Way::Out && it.stage == Stage::Offered;
        let offer = |it: &Transfer| Say::Offer {
            id: it.id,
            name: it.name.clone(),
            size: it.size,
        };
        self.list.iter().filter(waiting).map(offer).collect()
    }

    /// Wants a file that was offered. What to say.
    pub(super) fn accept(&mut self, id: u32) -> Option<Say> {
        let transfer = self.find(Way::In, id)?;
        if transfer.stage != Stage::Offered {
            return None;
        }
        transfer.stage = Stage::Going;
        Some(Say::Accept { id })
    }

    /// Gives a file up, whichever way it goes. What to say.
    pub(super) fn give_up(&mut self, way: Way, id: u32) -> Option<Say> {
        let (stop, say) = match way {
            Way::Out => (Stop::Withdrawn, Say::Withdraw { id }),
            Way::In => (Stop::Declined, Say::Decline { id }),
        };
        self.stop(way, id, stop).then_some(say)
    }

    /// It will not get there. False if that was known, or it is there.
    pub(super) fn stop(&mut self, way: Way, id: u32, why: Stop) -> bool {
        let Some(transfer) = self.find(way, id).filter(|it| !it.stage.is_over()) else {
            return false;
        };
        transfer.stage = Stage::Stopped(why);
        transfer.speed = None;
        true
    }

    /// Takes one that is over off the list.
    pub(super) fn dismiss(&mut self, way: Way, id: u32) {
        self.list
            .retain(|it| (it.way, it.id) != (way, id) || !it.stage.is_over());
    }

    /// The other page said something. What follows.
    pub(super) fn heard(&mut self, say: &Say, now: Millis) -> Option<Then> {
        match say {
            Say::Offer { id, name, size } => {
                let waiting = |it: &&Transfer| it.way == Way::In && it.stage == Stage::Offered;
                if self.list.iter().filter(waiting).count() >= MOST_WAITING {
                    return Some(Then::Decline(*id));
                }
                if self.find(Way::In, *id).is_none() {
                    self.add(Way::In, *id, name, *size);
                }
                None
            }
            Say::Accept { id } => {
                let transfer = self.find(Way::Out, *id)?;
                if transfer.stage != Stage::Offered {
                    return None;
                }
                transfer.stage = Stage::Going;
                Some(Then::Send(*id))
            }
            Say::Decline { id } => self
                .stop(Way::Out, *id, Stop::Declined)
                .then_some(Then::Forget(Way::Out, *id)),
            Say::Withdraw { id } => self
                .stop(Way::In, *id, Stop::Withdrawn)
                .then_some(Then::Forget(Way::In, *id)),
            Say::Got { id, bytes } => {
                self.progress(Way::Out, *id, *bytes, now);
                None
            }
            Say::Kept { id, whole: true } => {
                self.keep(Way::Out, *id, None);
                Some(Then::Forget(Way::Out, *id))
            }
            Say::Kept { id, whole: false } => self
                .stop(Way::Out, *id, Stop::Damaged)
                .then_some(Then::Forget(Way::Out, *id)),
            // What is done about them needs the bytes.
            Say::Piece { .. } | Say::End { .. } => None,
        }
    }

    /// This much is there, and right.
    pub(super) fn progress(&mut self, way: Way, id: u32, bytes: u64, now: Millis) {
        let Some(transfer) = self.find(way, id).filter(|it| it.stage == Stage::Going) else {
            return;
        };
        transfer.done = bytes.min(transfer.size);
        let (since, before) = *transfer.mark.get_or_insert((now, transfer.done));
        if now - since >= LOOK {
            #[expect(clippy::cast_precision_loss, reason = "a speed is not that exact")]
            let speed = (transfer.done - before) as f64 * 1_000.0 / (now - since) as f64;
            transfer.speed = Some(speed);
            transfer.mark = Some((now, transfer.done));
        }
    }

    /// All of it is there, and right.
    pub(super) fn keep(&mut self, way: Way, id: u32, url: Option<String>) {
        if let Some(transfer) = self.find(way, id).filter(|it| it.stage == Stage::Going) {
            transfer.stage = Stage::Whole;
            transfer.done = transfer.size;
            transfer.speed = None;
            transfer.url = url;
        }
    }

    /// The call is over.
    pub(super) fn close(&mut self) {
        for transfer in self.list.iter_mut().filter(|it| !it.stage.is_over()) {
            transfer.stage = Stage::Stopped(Stop::Over);
            transfer.speed = None;
        }
    }

    /// One of them, if it is on its way.
    pub(super) fn going(&self, way: Way, id: u32) -> Option<&Transfer> {
        self.list
            .iter()
            .find(|it| (it.way, it.id) == (way, id) && it.stage == Stage::Going)
    }

    fn add(&mut self, way: Way, id: u32, name: &str, size: u64) {
        self.list.push(Transfer {
            id,
            way,
            name: name.chars().take(LONGEST_NAME).collect(),
            size,
            stage: Stage::Offered,
            done: 0,
            speed: None,
            url: None,
            mark: None,
        });
    }

    fn find(&mut self, way: Way, id: u32) -> Option<&mut Transfer> {
        self.list.iter_mut().find(|it| (it.way, it.id) == (way, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 3 * PIECE;

    /// Two pages: what one says the other hears.
    fn offered() -> (Ledger, Ledger, u32) {
        let (mut from, mut to) = (Ledger::default(), Ledger::default());
        let say = from.offer("plan.pdf", SIZE);
        assert_eq!(to.heard(&say, 0), None);
        let id = to.list()[0].id;
        (from, to, id)
    }

    fn going() -> (Ledger, Ledger, u32) {
        let (mut from, mut to, id) = offered();
        let say = to.accept(id).unwrap();
        assert_eq!(from.heard(&say, 0), Some(Then::Send(id)));
        (from, to, id)
    }

    #[test]
    fn a_file_is_offered_accepted_and_whole_on_both_sides() {
        let (mut from, mut to, id) = going();
        assert_eq!(to.accept(id), None, "once is enough");
        for (now, done) in [(0, PIECE), (500, 2 * PIECE), (1_000, SIZE)] {
            to.progress(Way::In, id, done, now);
            from.heard(&Say::Got { id, bytes: done }, now);
        }
        let shown = &from.list()[0];
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = 2.0 * PIECE as f64;
        assert_eq!((shown.done, shown.speed), (SIZE, Some(expected)));
        to.keep(Way::In, id, Some("blob:1".to_owned()));
        from.heard(&Say::Kept { id, whole: true }, 1_100);
        assert_eq!([&from, &to].map(|it| it.list()[0].stage), [Stage::Whole; 2]);
        to.dismiss(Way::In, id);
        assert!(to.list().is_empty());
    }

    #[test]
    fn either_side_can_give_up_and_both_say_why() {
        let stage = |ledger: &Ledger| ledger.list()[0].stage;
        let (mut from, mut to, id) = offered();
        let say = to.give_up(Way::In, id).unwrap();
        from.heard(&say, 0);
        assert_eq!(
            [stage(&from), stage(&to)],
            [Stage::Stopped(Stop::Declined); 2]
        );
        assert_eq!(to.accept(id), None, "too late");

        let (mut from, mut to, id) = going();
        let say = from.give_up(Way::Out, id).unwrap();
        assert_eq!(to.heard(&say, 0), Some(Then::Forget(Way::In, id)));
        assert_eq!(
            [stage(&from), stage(&to)],
            [Stage::Stopped(Stop::Withdrawn); 2]
        );
        assert_eq!(from.give_up(Way::Out, id), None);
    }

    #[test]
    fn what_was_on_its_way_when_the_call_ended_says_so_and_what_was_there_stays() {
        let (_, mut to, id) = going();
        to.keep(Way::In, id, None);
        to.heard(
            &Say::Offer {
                id: 2,
                name: "b".to_owned(),
                size: 1,
            },
            0,
        );
        to.close();
        let stages: Vec<_> = to.list().iter().map(|it| it.stage).collect();
        assert_eq!(stages, [Stage::Whole, Stage::Stopped(Stop::Over)]);
    }

    #[test]
    fn nobody_is_flooded_with_offers_and_no_name_is_endless() {
        let mut to = Ledger::default();
        let offer = |id| Say::Offer {
            id,
            name: "🌉".repeat(1_000),
            size: 1,
        };
        for id in 0..20 {
            assert_eq!(to.heard(&offer(id), 0), None);
        }
        assert_eq!(to.heard(&offer(20), 0), Some(Then::Decline(20)));
        assert_eq!(to.list().len(), 20);
        assert_eq!(to.list()[0].name.chars().count(), LONGEST_NAME);
    }
}
