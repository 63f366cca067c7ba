//! The vault knows who; the log knows what happened. Keys, sealing and opening, the subject directory, and the
//! destruction of keys.
//!
//! | file | holds |
//! |---|---|
//! | [`vault`](Vault) | opening and closing the vault |
//! | [`epoch`](EpochKey), [`epoch_file`](FileEpoch) | the key that wraps all others, held outside the database |
//! | `epochs`, [`rotation`](Rotation) | which epochs there are; how one ends and the next begins |
//! | `key`, `ring`, `cache` | root keys: their names, how they are made and found, and how long memory holds them |
//! | `seal`, `sealing`, `joint` | the sealed form of one value; sealing and opening values of the domain, also of several people |
//! | `blind` | keyed hashes, by which personal values are found |
//! | `person`, `directory` | who a subject is, and finding or creating it |
//! | `mending` | finding people that no alias leads to any more |
//! | `destroy`, `nodes` | destruction of keys; how it reaches every node |
//! | [`anchor`](LogAnchor) | which log the store belongs to, and how far that had come |
//! | `lineage` | whether the store still is the one that this process has used |
//! | `suppression` | keyed hashes of people who must not be written to |
//! | `queue`, `store` | group commit of what is created; both engines |

mod anchor;
mod blind;
mod cache;
mod destroy;
mod directory;
mod epoch;
mod epoch_file;
mod epochs;
mod error;
mod joint;
mod key;
mod lineage;
mod mending;
mod nodes;
mod person;
mod queue;
mod ring;
mod rotation;
mod seal;
mod sealing;
mod store;
mod suppression;
mod vault;

pub use anchor::LogAnchor;
pub use destroy::BucketKey;
pub use epoch::{EpochError, EpochKey, Named};
pub use epoch_file::FileEpoch;
pub use error::{Failure, Suspension, VaultError};
pub use joint::JointValue;
pub use key::RootKey;
pub use person::{Identity, NewPerson, Person};
pub use rotation::{EpochStatus, Laggard, Phase, Rotation, Step};
pub use vault::{StoreOptions, Vault, VaultOptions};
