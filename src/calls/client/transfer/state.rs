//! What two pages say to each other about files, and what becomes of each file: plain data, no browser in it.
//!
//! Control messages are JSON as text, the bytes of a file go between them as binary messages, all over one ordered and reliable data
//! channel. A file goes in pieces; each is announced with its SHA-256 and sent in chunks. The receiver says how much is there and was
//! right. The hash of all those hashes, in order, is the file's.

use crate::model::Millis;
use serde::{Deserialize, Serialize};

/// The size of a piece in bytes; the last one of a file may be smaller.
pub(super) const PIECE_BYTES: u64 = 1_024 * 1_024;
/// The most bytes in one message: what every browser takes (RFC 8841 section 6).
pub(super) const MAX_CHUNK_BYTES: u32 = 64 * 1_024;
/// So many offers may wait for an answer; further ones are declined.
const MAX_PENDING_OFFERS: usize = 20;
/// The most characters of a name.
const MAX_FILE_NAME_CHARS: usize = 255;
/// How often the speed is looked at, in milliseconds.
const SPEED_SAMPLE_INTERVAL: Millis = 1_000;

/// What one page says to the other. Ids are the sender's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "snake_case")]
pub enum TransferMessage {
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
    #[serde(rename = "piece")]
    PieceStart {
        /// Of which.
        id: u32,
        /// SHA-256, hexadecimal.
        hash: String,
    },
    /// The receiver has this much.
    #[serde(rename = "got")]
    Progress {
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
    #[serde(rename = "kept")]
    Received {
        /// Of which.
        id: u32,
        /// Whether it is right.
        #[serde(rename = "whole")]
        is_intact: bool,
    },
}

/// Which way a file goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferDirection {
    /// To the other one.
    Outgoing,
    /// From the other one.
    Incoming,
}

/// Why a file did not get there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StopReason {
    /// Whoever was to receive it did not want it, or no more of it.
    Declined,
    /// Whoever sent it gave up.
    Withdrawn,
    /// What came is not what was sent.
    Damaged,
    /// The file could not be read or kept.
    Unreadable,
    /// The call ended before.
    CallEnded,
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TransferPhase {
    /// Nobody has said whether it is wanted.
    Offered,
    /// It is wanted, and on its way or waiting for others.
    InProgress,
    /// It is there, and right.
    Complete,
    /// It will not get there.
    Stopped(StopReason),
}

/// A file on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct FileTransfer {
    /// Among those that go the same way.
    pub id: u32,
    /// Which way.
    pub direction: TransferDirection,
    /// What it is called.
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// How far it is.
    pub phase: TransferPhase,
    /// How many bytes are there, and right.
    pub transferred_bytes: u64,
    /// Bytes a second, lately; none before that can be said.
    pub bytes_per_second: Option<f64>,
    /// Where the browser keeps it, once it is whole.
    pub url: Option<String>,
    /// Since when the speed is looked at, and how much was there then.
    speed_sample: Option<(Millis, u64)>,
}

/// What follows from what was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferEffect {
    /// Begin to send it.
    Send(u32),
    /// Say that it is not wanted.
    Decline(u32),
    /// Forget what is there of it.
    Discard(TransferDirection, u32),
}

/// All files of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct TransferState {
    transfers: Vec<FileTransfer>,
    last_offer_id: u32,
}

impl TransferPhase {
    /// Whether nothing more happens to it.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Stopped(_))
    }
}

impl TransferState {
    /// All of them, the oldest first.
    pub(super) fn transfers(&self) -> &[FileTransfer] {
        &self.transfers
    }

    /// Offers a file. What to say.
    pub(super) fn offer(&mut self, name: &str, size: u64) -> TransferMessage {
        self.last_offer_id += 1;
        let id = self.last_offer_id;
        self.add(TransferDirection::Outgoing, id, name, size);
        TransferMessage::Offer {
            id,
            name: name.to_owned(),
            size,
        }
    }

    /// What is offered and not answered yet.
    pub(super) fn pending_offers(&self) -> Vec<TransferMessage> {
        let is_pending = |it: &&FileTransfer| {
            it.direction == TransferDirection::Outgoing && it.phase == TransferPhase::Offered
        };
        let offer = |it: &FileTransfer| TransferMessage::Offer {
            id: it.id,
            name: it.name.clone(),
            size: it.size,
        };
        self.transfers
            .iter()
            .filter(is_pending)
            .map(offer)
            .collect()
    }

    /// Wants a file that was offered. What to say.
    pub(super) fn accept(&mut self, id: u32) -> Option<TransferMessage> {
        let transfer = self.find(TransferDirection::Incoming, id)?;
        if transfer.phase != TransferPhase::Offered {
            return None;
        }
        transfer.phase = TransferPhase::InProgress;
        Some(TransferMessage::Accept { id })
    }

    /// Gives a file up, whichever way it goes. What to say.
    pub(super) fn cancel(
        &mut self,
        direction: TransferDirection,
        id: u32,
    ) -> Option<TransferMessage> {
        let (stop, message) = match direction {
            TransferDirection::Outgoing => {
                (StopReason::Withdrawn, TransferMessage::Withdraw { id })
            }
            TransferDirection::Incoming => (StopReason::Declined, TransferMessage::Decline { id }),
        };
        self.stop(direction, id, stop).then_some(message)
    }

    /// It will not get there. False if that was known, or it is there.
    pub(super) fn stop(
        &mut self,
        direction: TransferDirection,
        id: u32,
        reason: StopReason,
    ) -> bool {
        let Some(transfer) = self
            .find(direction, id)
            .filter(|it| !it.phase.is_finished())
        else {
            return false;
        };
        transfer.phase = TransferPhase::Stopped(reason);
        transfer.bytes_per_second = None;
        true
    }

    /// Takes one that is over off the list.
    pub(super) fn dismiss(&mut self, direction: TransferDirection, id: u32) {
        self.transfers
            .retain(|it| (it.direction, it.id) != (direction, id) || !it.phase.is_finished());
    }

    /// The other page said something. What follows.
    pub(super) fn apply_message(
        &mut self,
        message: &TransferMessage,
        now: Millis,
    ) -> Option<TransferEffect> {
        match message {
            TransferMessage::Offer { id, name, size } => {
                let is_pending = |it: &&FileTransfer| {
                    it.direction == TransferDirection::Incoming
                        && it.phase == TransferPhase::Offered
                };
                if self.transfers.iter().filter(is_pending).count() >= MAX_PENDING_OFFERS {
                    return Some(TransferEffect::Decline(*id));
                }
                if self.find(TransferDirection::Incoming, *id).is_none() {
                    self.add(TransferDirection::Incoming, *id, name, *size);
                }
                None
            }
            TransferMessage::Accept { id } => {
                let transfer = self.find(TransferDirection::Outgoing, *id)?;
                if transfer.phase != TransferPhase::Offered {
                    return None;
                }
                transfer.phase = TransferPhase::InProgress;
                Some(TransferEffect::Send(*id))
            }
            TransferMessage::Decline { id } => self
                .stop(TransferDirection::Outgoing, *id, StopReason::Declined)
                .then_some(TransferEffect::Discard(TransferDirection::Outgoing, *id)),
            TransferMessage::Withdraw { id } => self
                .stop(TransferDirection::Incoming, *id, StopReason::Withdrawn)
                .then_some(TransferEffect::Discard(TransferDirection::Incoming, *id)),
            TransferMessage::Progress { id, bytes } => {
                self.record_progress(TransferDirection::Outgoing, *id, *bytes, now);
                None
            }
            TransferMessage::Received {
                id,
                is_intact: true,
            } => {
                self.complete(TransferDirection::Outgoing, *id, None);
                Some(TransferEffect::Discard(TransferDirection::Outgoing, *id))
            }
            TransferMessage::Received {
                id,
                is_intact: false,
            } => self
                .stop(TransferDirection::Outgoing, *id, StopReason::Damaged)
                .then_some(TransferEffect::Discard(TransferDirection::Outgoing, *id)),
            // What is done about them needs the bytes.
            TransferMessage::PieceStart { .. } | TransferMessage::End { .. } => None,
        }
    }

    /// This much is there, and right.
    pub(super) fn record_progress(
        &mut self,
        direction: TransferDirection,
        id: u32,
        bytes: u64,
        now: Millis,
    ) {
        let Some(transfer) = self
            .find(direction, id)
            .filter(|it| it.phase == TransferPhase::InProgress)
        else {
            return;
        };
        transfer.transferred_bytes = bytes.min(transfer.size);
        let (since, before) = *transfer
            .speed_sample
            .get_or_insert((now, transfer.transferred_bytes));
        if now - since >= SPEED_SAMPLE_INTERVAL {
            #[expect(clippy::cast_precision_loss, reason = "a speed is not that exact")]
            let speed =
                (transfer.transferred_bytes - before) as f64 * 1_000.0 / (now - since) as f64;
            transfer.bytes_per_second = Some(speed);
            transfer.speed_sample = Some((now, transfer.transferred_bytes));
        }
    }

    /// All of it is there, and right.
    pub(super) fn complete(&mut self, direction: TransferDirection, id: u32, url: Option<String>) {
        if let Some(transfer) = self
            .find(direction, id)
            .filter(|it| it.phase == TransferPhase::InProgress)
        {
            transfer.phase = TransferPhase::Complete;
            transfer.transferred_bytes = transfer.size;
            transfer.bytes_per_second = None;
            transfer.url = url;
        }
    }

    /// The call is over.
    pub(super) fn stop_unfinished(&mut self) {
        for transfer in self
            .transfers
            .iter_mut()
            .filter(|it| !it.phase.is_finished())
        {
            transfer.phase = TransferPhase::Stopped(StopReason::CallEnded);
            transfer.bytes_per_second = None;
        }
    }

    /// One of them, if it is on its way.
    pub(super) fn find_in_progress(
        &self,
        direction: TransferDirection,
        id: u32,
    ) -> Option<&FileTransfer> {
        self.transfers.iter().find(|it| {
            (it.direction, it.id) == (direction, id) && it.phase == TransferPhase::InProgress
        })
    }

    fn add(&mut self, direction: TransferDirection, id: u32, name: &str, size: u64) {
        self.transfers.push(FileTransfer {
            id,
            direction,
            name: name.chars().take(MAX_FILE_NAME_CHARS).collect(),
            size,
            phase: TransferPhase::Offered,
            transferred_bytes: 0,
            bytes_per_second: None,
            url: None,
            speed_sample: None,
        });
    }

    fn find(&mut self, direction: TransferDirection, id: u32) -> Option<&mut FileTransfer> {
        self.transfers
            .iter_mut()
            .find(|it| (it.direction, it.id) == (direction, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE_BYTES: u64 = 3 * PIECE_BYTES;

    /// Two pages: what one says the other hears.
    fn offered_transfer() -> (TransferState, TransferState, u32) {
        let (mut from, mut to) = (TransferState::default(), TransferState::default());
        let message = from.offer("plan.pdf", FILE_BYTES);
        assert_eq!(to.apply_message(&message, 0), None);
        let id = to.transfers()[0].id;
        (from, to, id)
    }

    fn accepted_transfer() -> (TransferState, TransferState, u32) {
        let (mut from, mut to, id) = offered_transfer();
        let message = to.accept(id).unwrap();
        assert_eq!(
            from.apply_message(&message, 0),
            Some(TransferEffect::Send(id))
        );
        (from, to, id)
    }

    #[test]
    fn a_file_is_offered_accepted_and_whole_on_both_sides() {
        let (mut from, mut to, id) = accepted_transfer();
        assert_eq!(to.accept(id), None, "once is enough");
        for (now, done) in [
            (0, PIECE_BYTES),
            (500, 2 * PIECE_BYTES),
            (1_000, FILE_BYTES),
        ] {
            to.record_progress(TransferDirection::Incoming, id, done, now);
            from.apply_message(&TransferMessage::Progress { id, bytes: done }, now);
        }
        let shown = &from.transfers()[0];
        #[expect(clippy::cast_precision_loss, reason = "small")]
        let expected = 2.0 * PIECE_BYTES as f64;
        assert_eq!(
            (shown.transferred_bytes, shown.bytes_per_second),
            (FILE_BYTES, Some(expected))
        );
        to.complete(TransferDirection::Incoming, id, Some("blob:1".to_owned()));
        from.apply_message(
            &TransferMessage::Received {
                id,
                is_intact: true,
            },
            1_100,
        );
        assert_eq!(
            [&from, &to].map(|it| it.transfers()[0].phase),
            [TransferPhase::Complete; 2]
        );
        to.dismiss(TransferDirection::Incoming, id);
        assert!(to.transfers().is_empty());
    }

    #[test]
    fn either_side_can_give_up_and_both_say_why() {
        let stage = |state: &TransferState| state.transfers()[0].phase;
        let (mut from, mut to, id) = offered_transfer();
        let message = to.cancel(TransferDirection::Incoming, id).unwrap();
        from.apply_message(&message, 0);
        assert_eq!(
            [stage(&from), stage(&to)],
            [TransferPhase::Stopped(StopReason::Declined); 2]
        );
        assert_eq!(to.accept(id), None, "too late");

        let (mut from, mut to, id) = accepted_transfer();
        let say = from.cancel(TransferDirection::Outgoing, id).unwrap();
        assert_eq!(
            to.apply_message(&say, 0),
            Some(TransferEffect::Discard(TransferDirection::Incoming, id))
        );
        assert_eq!(
            [stage(&from), stage(&to)],
            [TransferPhase::Stopped(StopReason::Withdrawn); 2]
        );
        assert_eq!(from.cancel(TransferDirection::Outgoing, id), None);
    }

    #[test]
    fn a_transfer_in_progress_when_the_call_ends_is_stopped_and_a_complete_one_stays() {
        let (_, mut to, id) = accepted_transfer();
        to.complete(TransferDirection::Incoming, id, None);
        to.apply_message(
            &TransferMessage::Offer {
                id: 2,
                name: "b".to_owned(),
                size: 1,
            },
            0,
        );
        to.stop_unfinished();
        let stages: Vec<_> = to.transfers().iter().map(|it| it.phase).collect();
        assert_eq!(
            stages,
            [
                TransferPhase::Complete,
                TransferPhase::Stopped(StopReason::CallEnded)
            ]
        );
    }

    #[test]
    fn nobody_is_flooded_with_offers_and_no_name_is_endless() {
        let mut to = TransferState::default();
        let offer = |id| TransferMessage::Offer {
            id,
            name: "🌉".repeat(1_000),
            size: 1,
        };
        for id in 0..20 {
            assert_eq!(to.apply_message(&offer(id), 0), None);
        }
        assert_eq!(
            to.apply_message(&offer(20), 0),
            Some(TransferEffect::Decline(20))
        );
        assert_eq!(to.transfers().len(), 20);
        assert_eq!(to.transfers()[0].name.chars().count(), MAX_FILE_NAME_CHARS);
    }
}
