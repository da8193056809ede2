//! What can be done with a vault, and what a credential must hold to do it: the one table of both.

use std::fmt;

use crate::access::scope::Scope;

/// Makes the operations from the one table: name, method of the vault, and scope, or none for what only root may do.
macro_rules! operations {
    ($($name:ident = $method:literal, $scope:expr;)+) => {
        /// Something that is done with a vault. Its name is that of the method.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Operation {
            $(#[doc = concat!("`", $method, "`")] $name,)+
        }

        impl Operation {
            /// Every operation, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The method of the vault that does it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $method,)+
                }
            }

            /// The scope that a credential needs for it; none if only root may do it.
            #[must_use]
            pub const fn scope(self) -> Option<Scope> {
                match self {
                    $(Self::$name => $scope,)+
                }
            }
        }
    };
}

use Scope as S;

const ROOT_ONLY: Option<Scope> = None;

operations! {
    CreateGeneric = "create_generic", Some(S::GenericTokensCreate);
    CreatePci = "create_pci", Some(S::PciTokensCreate);
    CompleteSession = "complete_session", Some(S::PciTokensCreate);
    CompleteSecurityCode = "complete_security_code", Some(S::PciTokensCreate);
    ViewGeneric = "generic", Some(S::GenericTokensRead);
    ViewPci = "pci", Some(S::PciTokensRead);
    ListGeneric = "list_generic", Some(S::GenericTokensRead);
    ListPci = "list_pci", Some(S::PciTokensRead);
    ViewSession = "session", Some(S::PciTokensRead);
    SecurityCodeAvailable = "security_code_available", Some(S::PciTokensRead);
    UpdateGeneric = "update_generic", Some(S::GenericTokensUpdate);
    UpdatePci = "update_pci", Some(S::PciTokensUpdate);
    ReplaceAccountNumber = "replace_account_number", Some(S::PciTokensUpdate);
    RefreshSecurityCode = "refresh_security_code", Some(S::PciTokensUpdate);
    DeleteSecurityCode = "delete_security_code", Some(S::PciTokensUpdate);
    DeleteGeneric = "delete_generic", Some(S::GenericTokensDelete);
    DeletePci = "delete_pci", Some(S::PciTokensDelete);
    GenericPayload = "generic_payload", Some(S::GenericPayloadRead);
    RevealPci = "reveal_pci", Some(S::PciTokensReveal);
    UseSecurityCode = "use_security_code", Some(S::PciTokensReveal);
    Fill = "fill", Some(S::PciTokensReveal);
    Forward = "forward", Some(S::PciTokensForward);
    FindByAccountNumber = "find_by_account_number", Some(S::PciTokensFind);
    Inquire = "inquire", Some(S::MetadataInquiryCreate);
    CreateType = "create_type", Some(S::AdminTypesCreate);
    TypeById = "type_by_id", Some(S::AdminTypesRead);
    ListTypes = "list_types", Some(S::AdminTypesRead);
    DeleteType = "delete_type", Some(S::AdminTypesDelete);
    CreateApiKey = "create_api_key", Some(S::AdminApiKeysCreate);
    ViewApiKey = "api_key", Some(S::AdminApiKeysRead);
    ListApiKeys = "list_api_keys", Some(S::AdminApiKeysRead);
    UpdateApiKey = "update_api_key", Some(S::AdminApiKeysUpdate);
    DeleteApiKey = "delete_api_key", Some(S::AdminApiKeysDelete);
    CreateApiToken = "create_api_token", Some(S::AdminApiTokensCreate);
    ViewApiToken = "api_token", Some(S::AdminApiTokensRead);
    ListApiTokens = "list_api_tokens", Some(S::AdminApiTokensRead);
    UpdateApiToken = "update_api_token", Some(S::AdminApiTokensUpdate);
    EnableApiToken = "enable_api_token", Some(S::AdminApiTokensUpdate);
    DisableApiToken = "disable_api_token", Some(S::AdminApiTokensUpdate);
    DeleteApiToken = "delete_api_token", Some(S::AdminApiTokensDelete);
    Sweep = "sweep", Some(S::AdminVaultSweep);
    Stats = "stats", Some(S::AdminVaultStats);
    Compact = "compact", Some(S::AdminVaultCompact);
    Authenticate = "authenticate", ROOT_ONLY;
    DefineAccount = "define_account", ROOT_ONLY;
    DeleteAccount = "delete_account", ROOT_ONLY;
    DefineModule = "define_module", ROOT_ONLY;
    DeleteModule = "delete_module", ROOT_ONLY;
    Subscribe = "subscribe", ROOT_ONLY;
    IndexFingerprints = "index_fingerprints", ROOT_ONLY;
    ConfirmClock = "confirm_clock", ROOT_ONLY;
    StartSweeper = "start_sweeper", ROOT_ONLY;
    Close = "close", ROOT_ONLY;
}

impl Operation {
    /// Whether it lends a secret: whoever audits hears of it before, and can refuse.
    #[must_use]
    pub const fn lends(self) -> bool {
        matches!(self, Self::GenericPayload | Self::RevealPci | Self::UseSecurityCode | Self::Fill | Self::Forward)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
