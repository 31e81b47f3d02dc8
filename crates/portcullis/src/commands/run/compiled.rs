//! The matcher of a running firewall; in a build with the feature `shadow`, one that asks the
//! reference about every packet, too, and ends the firewall where they part.

#[cfg(not(feature = "shadow"))]
pub(super) use portcullis_classifier::Classifier;
#[cfg(feature = "shadow")]
pub(super) use shadow::Shadowed as Classifier;

#[cfg(feature = "shadow")]
mod shadow {
    use std::process;
    use std::sync::Arc;

    use portcullis_classifier::{Classifier, CompileError, Description};
    use portcullis_core::matcher::{Matcher, Trace};
    use portcullis_core::packet::PacketKey;
    use portcullis_core::reference::Reference;
    use portcullis_core::ruleset::{Ruleset, Verdict};
    use portcullis_core::traversal::Step;

    #[derive(Debug)]
    pub(in crate::commands::run) struct Shadowed {
        classifier: Classifier,
        reference: Reference,
    }

    impl Shadowed {
        pub(in crate::commands::run) fn compile(
            ruleset: Arc<Ruleset>,
        ) -> Result<Self, CompileError> {
            Ok(Self {
                reference: Reference::new(Arc::clone(&ruleset)),
                classifier: Classifier::compile(ruleset)?,
            })
        }

        pub(in crate::commands::run) fn describe(&self) -> Description {
            self.classifier.describe()
        }
    }

    impl Matcher for Shadowed {
        fn ruleset(&self) -> &Ruleset {
            self.classifier.ruleset()
        }

        fn decide(&self, step: &Step, key: &PacketKey, trace: &mut Trace) -> Verdict {
            let mut shadow = Trace::new();
            let expected = self.reference.decide(step, key, &mut shadow);
            let verdict = self.classifier.decide(step, key, trace);
            if (verdict, &*trace) != (expected, &shadow) {
                eprintln!("misjudged: {step:?} {key:?}: {verdict:?}, not {expected:?}");
                process::abort();
            }
            verdict
        }
    }
}
