//! The laws' exceptions from the right to erasure.

use serde::{Deserialize, Serialize};

/// Why a request is not carried out (GDPR 17(3), 12(6); CCPA 1798.105(d), 1798.130).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LegalException {
    /// Freedom of expression and information.
    Expression,
    /// A law that requires the data to be kept.
    LegalObligation,
    /// Public health, research or archiving in the public interest.
    PublicInterest,
    /// Legal claims that are made or defended.
    LegalClaims,
    /// Who asks could not be identified.
    Unidentified,
}

impl LegalException {
    /// Every value, in the order in which references list them.
    pub const ALL: [Self; 5] =
        [Self::Expression, Self::LegalObligation, Self::PublicInterest, Self::LegalClaims, Self::Unidentified];

    /// The name in the API; never changed once released.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expression => "EXPRESSION",
            Self::LegalObligation => "LEGAL_OBLIGATION",
            Self::PublicInterest => "PUBLIC_INTEREST",
            Self::LegalClaims => "LEGAL_CLAIMS",
            Self::Unidentified => "UNIDENTIFIED",
        }
    }

    /// Whether it keeps the person's data from being erased until it is lifted. That a requester could not be
    /// identified says nothing about the data.
    pub const fn holds(self) -> bool {
        !matches!(self, Self::Unidentified)
    }
}
