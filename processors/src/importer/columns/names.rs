//! Which columns make the name.

use wasend_domain::import::ColumnTarget;

use super::super::titles::TitleMeaning;

/// Gives the columns of the name their fields: one that holds it whole, else the parts of it.
pub(super) fn choose(meanings: &[TitleMeaning], fields: &mut [Option<ColumnTarget>]) {
    let is_given = |field: &Option<ColumnTarget>| {
        let parts = [ColumnTarget::Name, ColumnTarget::FirstName, ColumnTarget::MiddleName, ColumnTarget::LastName];
        field.as_ref().is_some_and(|field| parts.contains(field))
    };
    if fields.iter().any(is_given) {
        return;
    }
    let free = |wanted: TitleMeaning| {
        meanings.iter().zip(fields.iter()).position(|(meaning, field)| *meaning == wanted && field.is_none())
    };
    let english = free(TitleMeaning::FirstName);
    let given = english.or_else(|| free(TitleMeaning::GivenName));
    let family = free(TitleMeaning::FamilyName);
    let either_given = free(TitleMeaning::NameOrGivenName);
    let either_family = free(TitleMeaning::NameOrFamilyName);
    // `Name` beside `Vorname` is the family's, beside both parts it is the whole.
    let (whole, first, last) = match (free(TitleMeaning::FullName), given, family) {
        (Some(whole), ..) => (Some(whole), None, None),
        (None, Some(given), Some(family)) => match either_family {
            Some(whole) => (Some(whole), None, None),
            None => (None, Some(given), Some(family)),
        },
        (None, Some(_), None) if english.is_some() && either_family.is_some() => (either_family, None, None),
        (None, Some(given), None) => (None, Some(given), either_family),
        (None, None, Some(family)) => match (either_given, either_family) {
            (None, Some(whole)) => (Some(whole), None, None),
            (given, _) => (None, given, Some(family)),
        },
        (None, None, None) => (either_family.or(either_given), None, None),
    };
    let middle = first.and(free(TitleMeaning::MiddleName));
    let parts = [
        (whole, ColumnTarget::Name),
        (first, ColumnTarget::FirstName),
        (middle, ColumnTarget::MiddleName),
        (last, ColumnTarget::LastName),
    ];
    for (place, field) in parts.into_iter().filter_map(|(place, field)| Some((place?, field))) {
        fields[place] = Some(field);
    }
}
