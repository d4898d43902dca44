//! Who a store is, and which of its lives a position in its history belongs to.
//!
//! A store that was restored from a backup gives out sequence numbers again that readers of its events have seen with other
//! events. So a history is parted into epochs. Whenever a process gives out its first number, an epoch begins, and the store
//! keeps its random name with the last number before it. Who keeps a position in the history keeps the epoch with it in which
//! it was read; whether both still belong together can be asked. (PostgreSQL's timelines and Kafka's leader epochs do the
//! same.)

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 128 random bits, shown as 32 hexadecimal digits: the name of an epoch, or of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch(u128);

/// Which history a store keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// The store's own name: it gets it when it is made, and keeps it. It is the name of the first epoch too.
    pub identity: Epoch,
    /// The epoch of the last number that was given out.
    pub epoch: Epoch,
}

/// What is no name of an epoch.
#[derive(Debug, thiserror::Error)]
#[error("an epoch has 32 hexadecimal digits, as the events and the status show it")]
pub struct InvalidEpoch;

impl Epoch {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self::from_halves(getrandom::u64()?, getrandom::u64()?))
    }

    /// From its bits.
    pub const fn new(bits: u128) -> Self {
        Self(bits)
    }

    /// Its bits.
    pub const fn get(self) -> u128 {
        self.0
    }

    /// Its upper and its lower half.
    #[expect(clippy::cast_possible_truncation, reason = "each is what is left of the other")]
    pub const fn halves(self) -> (u64, u64) {
        ((self.0 >> 64) as u64, self.0 as u64)
    }

    /// From its upper and its lower half.
    pub fn from_halves(high: u64, low: u64) -> Self {
        Self((u128::from(high) << 64) | u128::from(low))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl FromStr for Epoch {
    type Err = InvalidEpoch;

    fn from_str(text: &str) -> Result<Self, InvalidEpoch> {
        let is_well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = u128::from_str_radix(text, 16).ok().filter(|_| is_well_formed);
        bits.map(Self).ok_or(InvalidEpoch)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_read_as_it_is_shown_and_nothing_else_is() {
        for bits in [0, 1, u128::MAX, 0xabc << 64] {
            let shown = Epoch::new(bits).to_string();
            assert_eq!(shown.len(), 32);
            assert_eq!(shown.parse::<Epoch>().unwrap(), Epoch::new(bits));
        }
        for wrong in
            ["", "1", "+0000000000000000000000000000001", "0000000000000000000000000000000g", &"0".repeat(33)]
        {
            assert!(wrong.parse::<Epoch>().is_err(), "{wrong}");
        }
    }
}
