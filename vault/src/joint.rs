//! Values that are about several people at once: sealed under the keys of all of them, so that destroying any one of these
//! makes them unreadable.

use wasend_domain::{AccountId, BlindIndex, Day, Opened, Personal, PersonalValue, Sealed, SubjectId, UnavailableCause};
use zeroize::Zeroizing;

use crate::{
    blind_index::BlindIndexer,
    error::{VaultError, VaultFailure},
    key::KeyName,
    key_resolver::{KeyResolver, opened, roots},
    seal,
    sealing::{distinct, place},
    vault::Vault,
};

/// A value and the subjects that it is about, at least one. The first stands in the sealed value; the others are needed
/// again to open it.
pub type JointValue<T> = (Vec<SubjectId>, Personal<T>);

impl Vault {
    /// Seals values of one day, each under the account, all of its subjects and the day's retention key; one subject makes
    /// it [`Self::seal`]. Beside each comes an index that the same value has under the same keys and that cannot be made
    /// again once one of them is destroyed. A value that cannot be sealed does not spoil the others.
    pub async fn seal_jointly<T: PersonalValue>(
        &self,
        account: AccountId,
        values: &[JointValue<T>],
        day: Day,
    ) -> Vec<Result<(Sealed<T>, BlindIndex), VaultError>> {
        let names = values.iter().flat_map(|(subjects, _)| joint_roots::<T>(account, subjects, day));
        match self.ring_for_sealing(&distinct(names)).await {
            Ok(ring) => values.iter().map(|joint| seal_with(&ring, account, joint, day)).collect(),
            Err(failure) => values.iter().map(|_| Err(failure.clone().into())).collect(),
        }
    }

    /// Opens a value that was sealed under the subject in it and these others, or says since when the first of the keys is
    /// destroyed.
    pub async fn open_jointly<T: PersonalValue>(
        &self,
        account: AccountId,
        sealed: &Sealed<T>,
        others: &[SubjectId],
    ) -> Result<Opened<T>, VaultFailure> {
        let subjects: Vec<_> = std::iter::once(sealed.subject()).chain(others.iter().copied()).collect();
        let names = joint_roots::<T>(account, &subjects, sealed.day());
        let ring = self.ring(&distinct(names.iter().copied())).await?;
        Ok(opened(sealed.subject(), ring.all(&names), |keys| {
            let place = place::<T>(account, sealed.subject(), sealed.day());
            let plaintext = seal::open(&keys, &place, sealed.ciphertext())?;
            // serde's own error would quote the plaintext.
            serde_json::from_slice(&plaintext).map_err(|_| UnavailableCause::ValueDamaged)
        }))
    }
}

/// The roots of a value of one subject, then the keys of the others.
fn joint_roots<T: PersonalValue>(account: AccountId, subjects: &[SubjectId], day: Day) -> Vec<KeyName> {
    let Some((first, others)) = subjects.split_first() else { return Vec::new() };
    let other = |subject: &SubjectId| KeyName::Subject(account, *subject, T::CATEGORY.purpose());
    roots(account, *first, T::CATEGORY, day).into_iter().chain(others.iter().map(other)).collect()
}

fn seal_with<T: PersonalValue>(
    ring: &KeyResolver,
    account: AccountId,
    (subjects, value): &JointValue<T>,
    day: Day,
) -> Result<(Sealed<T>, BlindIndex), VaultError> {
    let first = *subjects.first().ok_or(VaultError::UnknownSubject)?;
    let live = |name: KeyName| {
        let unknown = if name.subject().is_some() { VaultError::UnknownSubject } else { VaultError::UnknownAccount };
        ring.live(name, unknown)
    };
    let keys = joint_roots::<T>(account, subjects, day).into_iter().map(live).collect::<Result<Vec<_>, _>>()?;
    let plaintext = Zeroizing::new(serde_json::to_string(value.expose()).map_err(|_| VaultFailure::Encoding)?);
    let text = seal::seal(&keys, &place::<T>(account, first, day), plaintext.as_bytes())?;
    let index = BlindIndexer::of_roots(&keys, &[b"wasend/joint/v1", account.uuid().as_bytes(), T::FIELD.as_bytes()]);
    Ok((Sealed::from_parts(first, day, &text), index.index("joint", &plaintext)))
}
