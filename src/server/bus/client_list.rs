//! Assembly of a node's client list from its parts.

use super::ConnectedClient;
use serde::{Deserialize, Serialize};

/// Place of a part in a client list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListPart {
    /// Raised by the sender with each list.
    pub list: u64,
    /// From 0.
    pub index: u32,
}

/// Received parts of a list. They come in order; some may be lost, or belong to other lists.
#[derive(Debug, Default)]
pub struct ClientListAssembly {
    clients: Vec<ConnectedClient>,
    /// None outside a numbered list.
    next: Option<ListPart>,
}

impl ClientListAssembly {
    /// Adds a part; returns the clients once the list is complete. `part` is none from a node of an earlier build.
    pub fn add(
        &mut self,
        part: Option<ListPart>,
        clients: Vec<ConnectedClient>,
        is_last: bool,
    ) -> Option<Vec<ConnectedClient>> {
        if let Some(part) = part {
            if part.index == 0 {
                self.clients.clear();
            } else if self.next != Some(part) {
                *self = Self::default();
                return None;
            }
            let index = part.index + 1;
            self.next = Some(ListPart { index, ..part });
        }
        self.clients.extend(clients);
        is_last.then(|| std::mem::take(self).clients)
    }

    /// Forgets an unnumbered list: its parts look like those of the requested one.
    pub fn on_request(&mut self) {
        if self.next.is_none() {
            self.clients.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{
            ClientId, UserId,
            user::{Person, Role, UserName},
        },
        server::live::Incarnation,
    };
    use uuid::Uuid;

    fn client(n: u128) -> ConnectedClient {
        ConnectedClient {
            client: ClientId(Uuid::from_u128(n)),
            person: Person {
                id: UserId(Uuid::from_u128(n)),
                name: UserName::new("Ada").unwrap(),
                role: Role::Guest,
            },
            guest_of: None,
            visible: true,
            direct_rooms: Vec::new(),
            incarnation: Incarnation::default(),
        }
    }

    fn add(
        assembly: &mut ClientListAssembly,
        (list, index): (u64, u32),
        of: u32,
    ) -> Option<Vec<u128>> {
        let only = vec![client(u128::from(list) * 10 + u128::from(index))];
        let list = assembly.add(Some(ListPart { list, index }), only, index + 1 == of)?;
        Some(list.iter().map(|one| one.client.0.as_u128()).collect())
    }

    #[test]
    fn the_parts_of_a_list_make_one_list() {
        let mut assembly = ClientListAssembly::default();
        assert_eq!(add(&mut assembly, (1, 0), 3), None);
        assembly.on_request();
        assert_eq!(add(&mut assembly, (1, 1), 3), None);
        assert_eq!(add(&mut assembly, (1, 2), 3), Some(vec![10, 11, 12]));
        assert_eq!(add(&mut assembly, (2, 0), 1), Some(vec![20]));
    }

    #[test]
    fn the_rest_of_a_list_that_was_cut_is_no_list() {
        let mut assembly = ClientListAssembly::default();
        assert_eq!(
            add(&mut assembly, (1, 1), 2),
            None,
            "its first part was lost"
        );
        add(&mut assembly, (2, 0), 3);
        assert_eq!(add(&mut assembly, (2, 2), 3), None, "a part was lost");
        assert_eq!(add(&mut assembly, (3, 0), 2), None);
        assert_eq!(add(&mut assembly, (3, 1), 2), Some(vec![30, 31]));
    }

    #[test]
    fn parts_of_two_lists_make_no_list() {
        let mut assembly = ClientListAssembly::default();
        add(&mut assembly, (1, 0), 2);
        assert_eq!(add(&mut assembly, (2, 1), 2), None);
        add(&mut assembly, (3, 0), 2);
        add(&mut assembly, (4, 0), 2);
        assert_eq!(add(&mut assembly, (4, 1), 2), Some(vec![40, 41]));
    }

    #[test]
    fn a_list_of_an_earlier_build_has_no_numbers() {
        let mut assembly = ClientListAssembly::default();
        assert_eq!(assembly.add(None, vec![client(1)], false), None);
        let list = assembly.add(None, vec![client(2)], true);
        assert_eq!(list.unwrap().len(), 2);
        assembly.add(None, vec![client(1)], false);
        assembly.on_request();
        let list = assembly.add(None, vec![client(2)], true);
        assert_eq!(list.unwrap().len(), 1);
    }
}
