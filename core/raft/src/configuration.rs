//! Who belongs to the group.

use std::collections::BTreeMap;

use bytes::Bytes;
use tribune_base::bug;
use tribune_base::codec::{DecodeError, Reader, Writer};
use tribune_base::id::ServerId;

use crate::quorum::{self, Tally};

/// The members of a group. Each has an address, which means nothing here: it is for operators.
///
/// While `outgoing` has members the configuration is *joint*: everything needs a majority of
/// `voters` and a majority of `outgoing` (Raft dissertation, section 4.3).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Configuration {
    /// Who votes from now on.
    pub voters: BTreeMap<ServerId, String>,
    /// Who receives the log but has no say.
    pub non_voters: BTreeMap<ServerId, String>,
    /// Who voted until now. Empty unless joint.
    pub outgoing: BTreeMap<ServerId, String>,
}

impl Configuration {
    /// A group of these voters.
    pub fn of_voters(voters: impl IntoIterator<Item = (ServerId, String)>) -> Self {
        Self { voters: voters.into_iter().collect(), ..Self::default() }
    }

    /// Whether `id` has a vote, now or until the joint phase ends.
    pub fn is_voter(&self, id: ServerId) -> bool {
        self.voters.contains_key(&id) || self.outgoing.contains_key(&id)
    }

    /// Whether `id` receives the log.
    pub fn is_member(&self, id: ServerId) -> bool {
        self.is_voter(id) || self.non_voters.contains_key(&id)
    }

    /// Whether two majorities are needed.
    pub fn is_joint(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether `id` decides everything alone.
    pub fn is_lone_voter(&self, id: ServerId) -> bool {
        self.voters.len() == 1 && self.voters.contains_key(&id) && !self.is_joint()
    }

    /// Everybody, in order, each once.
    pub fn members(&self) -> impl Iterator<Item = ServerId> {
        let mut members: Vec<_> = [&self.voters, &self.non_voters, &self.outgoing]
            .iter()
            .flat_map(|it| it.keys())
            .copied()
            .collect();
        members.sort_unstable();
        members.dedup();
        members.into_iter()
    }

    /// Where operators find `id`.
    pub fn address(&self, id: ServerId) -> Option<&str> {
        let groups = [&self.voters, &self.non_voters, &self.outgoing];
        groups.into_iter().find_map(|it| it.get(&id)).map(String::as_str)
    }

    /// The greatest value that every majority needed has reached.
    pub fn agreed<T: Copy + Default + Ord>(&self, reached: impl Fn(ServerId) -> T) -> T {
        let incoming = quorum::committed(self.counted().map(|id| reached(*id)));
        if !self.is_joint() || bug!(M03) {
            return incoming;
        }
        incoming.min(quorum::committed(self.outgoing.keys().map(|id| reached(*id))))
    }

    /// How a ballot among the voters stands.
    pub fn tally(&self, votes: &BTreeMap<ServerId, bool>) -> Tally {
        let incoming = quorum::tally(self.counted().map(|id| votes.get(id).copied()));
        if !self.is_joint() || bug!(M03) {
            return incoming;
        }
        let outgoing = quorum::tally(self.outgoing.keys().map(|id| votes.get(id).copied()));
        match (incoming, outgoing) {
            (Tally::Lost, _) | (_, Tally::Lost) => Tally::Lost,
            (Tally::Won, Tally::Won) => Tally::Won,
            (Tally::Open, _) | (_, Tally::Open) => Tally::Open,
        }
    }

    /// Who makes up the incoming majority.
    fn counted(&self) -> impl Iterator<Item = &ServerId> {
        let planted = self.non_voters.keys().filter(|_| bug!(M07));
        self.voters.keys().chain(planted)
    }

    /// Its bytes: three lists of (1: id, 2: address), tagged 1 to 3.
    pub fn encode(&self, writer: &mut Writer) {
        for (tag, group) in [(1, &self.voters), (2, &self.non_voters), (3, &self.outgoing)] {
            for (id, address) in group {
                writer.nested(tag, |it| {
                    it.u128(1, id.0);
                    it.str(2, address);
                });
            }
        }
    }

    /// Read what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// It did not write these bytes.
    pub fn decode(mut reader: Reader) -> Result<Self, DecodeError> {
        let mut this = Self::default();
        while let Some(field) = reader.field()? {
            let group = match field.tag {
                1 => &mut this.voters,
                2 => &mut this.non_voters,
                3 => &mut this.outgoing,
                _ => continue,
            };
            let (mut id, mut address) = (ServerId::default(), String::new());
            let mut server = field.nested()?;
            while let Some(field) = server.field()? {
                match field.tag {
                    1 => id = ServerId(field.u128()?),
                    2 => field.str()?.clone_into(&mut address),
                    _ => {}
                }
            }
            if group.insert(id, address).is_some() {
                return Err(field.senseless());
            }
        }
        Ok(this)
    }

    /// As a message of its own.
    pub fn to_bytes(&self) -> Bytes {
        let mut writer = Writer::new();
        self.encode(&mut writer);
        writer.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ids: &[u128]) -> BTreeMap<ServerId, String> {
        ids.iter().map(|id| (ServerId(*id), format!("10.0.0.{id}"))).collect()
    }

    #[test]
    fn a_joint_configuration_needs_both_majorities() {
        let joint = Configuration {
            voters: group(&[1, 2, 3]),
            non_voters: group(&[6]),
            outgoing: group(&[3, 4, 5]),
        };
        let reached = |ids: &'static [u128]| move |id: ServerId| u64::from(ids.contains(&id.0));
        assert_eq!(joint.agreed(reached(&[1, 2, 3])), 0, "the old majority is missing");
        assert_eq!(joint.agreed(reached(&[3, 4, 5])), 0, "the new majority is missing");
        assert_eq!(joint.agreed(reached(&[1, 3, 4, 6])), 1);
        assert_eq!(joint.members().count(), 6);

        let votes = |yes: &[u128], no: &[u128]| {
            let yes = yes.iter().map(|id| (ServerId(*id), true));
            yes.chain(no.iter().map(|id| (ServerId(*id), false))).collect()
        };
        assert_eq!(joint.tally(&votes(&[1, 2], &[])), Tally::Open);
        assert_eq!(joint.tally(&votes(&[1, 3, 4], &[])), Tally::Won);
        assert_eq!(joint.tally(&votes(&[1, 2, 3], &[4, 5])), Tally::Lost);
        assert_eq!(joint.tally(&votes(&[1, 4, 6], &[])), Tally::Open, "a non-voter has no say");
    }

    #[test]
    fn bytes_round_trip() {
        let joint = Configuration {
            voters: group(&[1, 2]),
            non_voters: group(&[3]),
            outgoing: group(&[1, u128::MAX]),
        };
        assert_eq!(Configuration::decode(Reader::new(joint.to_bytes())), Ok(joint));
    }
}
