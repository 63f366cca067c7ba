//! The vault knows who; the log knows what happened. Keys, sealing and opening, the subject directory, and the
//! destruction of keys.
//!
//! | file | holds |
//! |---|---|
//! | [`vault`](Vault) | opening, suspending and closing the vault; the keys that its work takes; which destructions every node knows |
//! | [`epoch`](EpochKey), [`file_epoch`](FileEpoch) | the key that wraps all others, held outside the database |
//! | `epochs`, [`rotation`](KeyRotation) | which epochs there are; how one ends and the next begins |
//! | `key`, `key_resolver`, `cache` | root keys: their names, how they are read, and how long memory holds them |
//! | `error` | why the vault cannot do what is asked |
//! | `seal`, `sealing`, `joint` | the sealed form of one value; sealing and opening values of the domain, also of several people |
//! | `blind_index` | keyed hashes, by which personal values are found |
//! | `person`, `directory` | who a subject is, and finding or creating it |
//! | `identities` | what is learnt of a subject later: further identities, former ones, that two are one person |
//! | `mending` | finding people that no alias leads to any more |
//! | `crypto_shred`, `node_registry` | destruction of keys; how it reaches every node |
//! | [`anchor`](LogAnchor) | which log the store belongs to, and how far that had come |
//! | `lineage` | whether the store still is the one that this process has used |
//! | `suppression` | keyed hashes of people who must not be written to |
//! | `create_batcher`, `store` | group commit of what is created; both engines |

mod anchor;
mod blind_index;
mod cache;
mod create_batcher;
mod crypto_shred;
mod directory;
mod epoch;
mod epochs;
mod error;
mod file_epoch;
mod identities;
mod joint;
mod key;
mod key_resolver;
mod lineage;
mod mending;
mod node_registry;
mod person;
mod rotation;
mod seal;
mod sealing;
mod store;
mod suppression;
mod vault;

pub use anchor::LogAnchor;
pub use crypto_shred::BucketKey;
pub use epoch::{EpochKey, NamedKey};
pub use error::{EpochError, VaultError, VaultFailure, VaultSuspension};
pub use file_epoch::FileEpoch;
pub use identities::LearntIdentities;
pub use joint::JointValue;
pub use key::RootKey;
pub use person::{FormerIdentity, NewPerson, Person, PersonIdentity};
pub use rotation::{EpochPhase, EpochStatus, KeyRotation, LaggingNode, RotationStep};
pub use suppression::OptOutMoments;
pub use vault::{StoreOptions, Vault, VaultOptions};
