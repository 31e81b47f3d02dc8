//! Gives up what a running firewall does not need: capabilities, the chance to get any again, most
//! system calls (seccomp), and all files but a few (Landlock).
//!
//! All of it holds for the calling thread and those that it starts later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::thread::{CapabilitySet, CapabilitySets, SecureComputingMode};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use thiserror::Error;

/// The newest Landlock that is asked for; older kernels give what they have.
const LANDLOCK: ABI = ABI::V6;
/// What everything may read: the time zone, and names of services.
const READ: [&str; 3] = ["/etc/localtime", "/usr/share/zoneinfo", "/etc/services"];
/// What looking up host names may read besides.
const LOOKUPS: [&str; 6] = ["/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/run"];

/// What is needed after the start.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Whether verdicts are given by a socket that asks for CAP_NET_ADMIN each time.
    pub net_admin: bool,
    /// Whether host names may be looked up.
    pub lookups: bool,
    /// Files and folders to be read.
    pub read: Vec<PathBuf>,
    /// Files and folders where is written.
    pub write: Vec<PathBuf>,
    /// Folders where a file is removed.
    pub remove: Vec<PathBuf>,
}

/// What was given up.
#[derive(Clone, Debug)]
pub struct Confinement {
    seccomp: bool,
    landlock: &'static str,
}

/// Why something could not be given up.
#[derive(Debug, Error)]
pub enum ConfineError {
    /// Capabilities, or the chance to get them again.
    #[error("cannot give up capabilities: {0}")]
    Capabilities(#[from] rustix::io::Errno),
    /// Files.
    #[error("cannot give up files: {0}")]
    Landlock(#[from] RulesetError),
    /// System calls.
    #[error("cannot give up system calls: {0}")]
    Seccomp(String),
}

impl Confinement {
    /// Gives up all but `needs`. What the kernel does not know is left out, and said.
    ///
    /// # Errors
    ///
    /// If the kernel knows it and refuses.
    pub fn begin(needs: &Needs) -> Result<Self, ConfineError> {
        give_up_capabilities(needs)?;
        let landlock = give_up_files(needs)?;
        let seccomp = give_up_calls(needs)?;
        Ok(Self { seccomp, landlock })
    }

    /// How this thread is confined now, as the kernel says.
    pub fn describe(&self) -> BTreeMap<String, String> {
        let capabilities = match rustix::thread::capabilities(None) {
            Ok(sets) if sets.effective.is_empty() && sets.permitted.is_empty() => "none".to_owned(),
            Ok(sets) => {
                let names = sets.permitted.iter_names().map(|(name, _)| name);
                names.collect::<Vec<_>>().join(", ").to_lowercase()
            }
            Err(error) => error.to_string(),
        };
        let privileges = match rustix::thread::no_new_privs() {
            Ok(true) => "none",
            Ok(false) => "possible",
            Err(_) => "not known",
        };
        let seccomp = match (self.seccomp, rustix::thread::secure_computing_mode()) {
            (true, Ok(SecureComputingMode::Filter)) => "filter",
            (false, _) => "not on this machine",
            _ => "off",
        };
        [
            ("capabilities", capabilities.as_str()),
            ("new_privileges", privileges),
            ("seccomp", seccomp),
            ("landlock", self.landlock),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

fn give_up_capabilities(needs: &Needs) -> Result<(), ConfineError> {
    let kept = match needs.net_admin {
        true => CapabilitySet::NET_ADMIN,
        false => CapabilitySet::empty(),
    };
    let given_up = CapabilitySet::all() - kept;
    for one in given_up.iter() {
        // Capabilities that this kernel does not know are not in its set.
        if rustix::thread::capability_is_in_bounding_set(one).unwrap_or(false) {
            rustix::thread::remove_capability_from_bounding_set(one)?;
        }
    }
    let _ = rustix::thread::clear_ambient_capability_set();
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, sets)?;
    Ok(rustix::thread::set_no_new_privs(true)?)
}

fn give_up_files(needs: &Needs) -> Result<&'static str, ConfineError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::WriteFile | AccessFs::MakeReg;
    let mut rules: Vec<(&Path, BitFlags<AccessFs>)> = Vec::new();
    rules.extend(READ.iter().map(|path| (Path::new(*path), read)));
    if needs.lookups {
        rules.extend(LOOKUPS.iter().map(|path| (Path::new(*path), read)));
    }
    rules.extend(needs.read.iter().map(|path| (path.as_path(), read)));
    rules.extend(needs.write.iter().map(|path| (path.as_path(), write)));
    let remove: BitFlags<AccessFs> = AccessFs::RemoveFile.into();
    rules.extend(needs.remove.iter().map(|path| (path.as_path(), remove)));
    let ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .scope(Scope::from_all(LANDLOCK))?;
    let mut ruleset = match needs.lookups {
        true => ruleset,
        false => ruleset.handle_access(AccessNet::from_all(LANDLOCK))?,
    }
    .create()?;
    for (path, access) in rules {
        // What is not there needs no right.
        let Ok(opened) = PathFd::new(path) else {
            continue;
        };
        let access = match path.is_dir() {
            true => access,
            false => access & AccessFs::from_file(LANDLOCK),
        };
        ruleset = ruleset.add_rule(PathBeneath::new(opened, access))?;
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => "enforced",
        RulesetStatus::PartiallyEnforced => "enforced as far as this kernel can",
        RulesetStatus::NotEnforced => "not in this kernel",
    })
}

/// What is not in the list fails with EPERM; `false` on a machine that the filter is not made for.
fn give_up_calls(needs: &Needs) -> Result<bool, ConfineError> {
    let wrong = |error: &dyn std::fmt::Display| ConfineError::Seccomp(error.to_string());
    let Ok(machine) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(false);
    };
    let mut calls: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in CALLS.iter().chain(OLD_CALLS) {
        calls.insert(*call, Vec::new());
    }
    let first_is = |value: i32| {
        let (size, is) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        let condition = SeccompCondition::new(0, size, is, u64::from(value as u32));
        let rule = condition.and_then(|condition| SeccompRule::new(vec![condition]));
        rule.map_err(|error| wrong(&error))
    };
    let mut families = vec![libc::AF_UNIX];
    if needs.lookups {
        families.extend([libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK]);
    }
    let sockets: Result<_, _> = families.into_iter().map(first_is).collect();
    calls.insert(libc::SYS_socket, sockets?);
    // Which interface has our name now: no other question to a driver.
    let is_question = SeccompCondition::new(
        1,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Eq,
        libc::SIOCGIFINDEX,
    );
    let question = is_question.and_then(|condition| SeccompRule::new(vec![condition]));
    calls.insert(
        libc::SYS_ioctl,
        vec![question.map_err(|error| wrong(&error))?],
    );
    let controls: Result<_, _> = CONTROLS.into_iter().map(first_is).collect();
    calls.insert(libc::SYS_prctl, controls?);
    let refused = SeccompAction::Errno(libc::EPERM as u32);
    let filter = SeccompFilter::new(calls, refused, SeccompAction::Allow, machine);
    let program: BpfProgram = filter
        .and_then(BpfProgram::try_from)
        .map_err(|error| wrong(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| wrong(&error))?;
    Ok(true)
}

/// What may be asked by prctl: names of threads and of memory, and how we are confined.
const CONTROLS: [i32; 6] = [
    libc::PR_SET_NAME,
    libc::PR_SET_VMA,
    libc::PR_GET_NO_NEW_PRIVS,
    libc::PR_GET_SECCOMP,
    libc::PR_CAPBSET_READ,
    libc::PR_GET_NAME,
];

/// What a running firewall calls. No way to start a program is among them.
const CALLS: &[i64] = &[
    // Memory and threads.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clone,
    libc::SYS_clone3,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_tgkill,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_capget,
    libc::SYS_getrandom,
    libc::SYS_uname,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Files that are open, and those that Landlock lets be opened.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_close,
    libc::SYS_dup,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_openat,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_unlinkat,
    libc::SYS_fsync,
    // Sockets.
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_bind,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
];

/// What newer machines do not have any more.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[i64] = &[
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_unlink,
    libc::SYS_time,
];
/// What newer machines do not have any more.
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[i64] = &[];
