//! Delivery errors of one subscriber.

/// Delivery errors, in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryErrors {
    /// Never delivered.
    pub lost: u64,
    /// Delivered more than once.
    pub doubled: u64,
    /// After a later message of the same publisher.
    pub out_of_order: u64,
}

impl DeliveryErrors {
    /// Sum of all errors.
    pub fn total(self) -> u64 {
        self.lost + self.doubled + self.out_of_order
    }

    /// Adds another subscriber's errors.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }
}

/// Checks one publisher's sequence at one subscriber.
#[derive(Debug, Clone, Default)]
pub struct SequenceChecker {
    next: u64,
    /// Skipped and not delivered since, in ascending order.
    missing: Vec<u64>,
    doubled: u64,
    out_of_order: u64,
}

impl SequenceChecker {
    /// Returns whether this is the first delivery of its message.
    pub fn record(&mut self, sequence: u64) -> bool {
        if sequence >= self.next {
            self.missing.extend(self.next..sequence);
            self.next = sequence + 1;
            return true;
        }
        if let Ok(at) = self.missing.binary_search(&sequence) {
            self.missing.remove(at);
            self.out_of_order += 1;
            true
        } else {
            self.doubled += 1;
            false
        }
    }

    /// The errors when `published` messages were sent.
    pub fn delivery_errors(&self, published: u64) -> DeliveryErrors {
        DeliveryErrors {
            lost: self.missing.len() as u64 + published.saturating_sub(self.next),
            doubled: self.doubled,
            out_of_order: self.out_of_order,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors_of(sequences: &[u64], published: u64) -> DeliveryErrors {
        let mut checker = SequenceChecker::default();
        for sequence in sequences {
            checker.record(*sequence);
        }
        checker.delivery_errors(published)
    }

    #[test]
    fn everything_once_and_in_order_is_right() {
        assert_eq!(errors_of(&[0, 1, 2], 3), DeliveryErrors::default());
    }

    #[test]
    fn what_never_came_is_lost() {
        assert_eq!(errors_of(&[0, 3], 6).lost, 4);
        assert_eq!(errors_of(&[], 2).lost, 2);
    }

    #[test]
    fn what_comes_twice_is_doubled() {
        let twice = errors_of(&[0, 1, 1, 0], 2);
        assert_eq!((twice.lost, twice.doubled, twice.out_of_order), (0, 2, 0));
    }

    #[test]
    fn what_comes_late_is_out_of_order_and_not_lost() {
        let late = errors_of(&[0, 2, 1, 1], 3);
        assert_eq!((late.lost, late.doubled, late.out_of_order), (0, 1, 1));
    }
}
