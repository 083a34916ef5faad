//! Which packages hold the debug files of a kernel, by the shape of its release and version strings.

/// A package to get, and to give as an argument or to install.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WantedPackage {
    /// The distribution.
    pub distro: &'static str,
    /// The package; `*` stands for what the release does not tell.
    pub package: String,
    /// Which build of it.
    pub build: Build,
    /// What it holds.
    pub holds: &'static str,
    /// Where the distribution has it.
    pub from: &'static str,
}

impl WantedPackage {
    /// True for one that holds debug files.
    #[must_use]
    pub fn holds_files(&self) -> bool {
        self.holds == FILES
    }

    /// The package as its manager takes it: with the version where that is not in the name.
    #[must_use]
    pub fn spec(&self) -> String {
        match &self.build {
            Build::Version(build) => format!("{}={build}", self.package),
            Build::Named | Build::Untold => self.package.clone(),
        }
    }

    /// The words that bring the package into the current folder, as any user; `None` where the distribution has no such
    /// command.
    #[must_use]
    pub fn download(&self) -> Option<Vec<String>> {
        let words: &[&str] = match self.distro {
            "Debian" | "Ubuntu" => &["apt-get", "download"],
            "Fedora"
            | "RHEL/CentOS"
            | "Oracle Linux"
            | "Amazon Linux"
            | "openEuler"
            | "Anolis/Alibaba Linux" => &["dnf", "download", "--enablerepo=*debug*"],
            _ => return None,
        };
        Some(words.iter().map(|word| (*word).to_owned()).chain([self.spec()]).collect())
    }

    /// What the user types to get it.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let quoted = |word: String| if word.contains('*') { format!("'{word}'") } else { word };
        match self.distro {
            // it is downloaded into a folder of the system, or installed
            "SUSE" => Some(format!("zypper --plus-content debug install {}", quoted(self.spec()))),
            _ => Some(self.download()?.into_iter().map(quoted).collect::<Vec<_>>().join(" ")),
        }
    }
}

/// Which of a distribution's builds of one package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Build {
    /// The package's name says it.
    Named,
    /// The package of this version.
    Version(String),
    /// The name is that of several builds, and the kernel's version string does not tell which.
    Untold,
}

impl Build {
    fn of(version: Option<String>) -> Self {
        version.map_or(Self::Untold, Self::Version)
    }
}

/// A package with debug files.
const FILES: &str = "vmlinux and modules";
/// A package with source text.
const TEXT: &str = "source text";

/// Endings of Debian's releases: `6.1.0-56-cloud-amd64`.
const DEBIAN: &[&str] = &["-amd64", "-arm64", "-686", "-686-pae", "-armmp", "-riscv64", "-ppc64el", "-s390x"];
/// Endings of Ubuntu's releases: `5.15.0-91-generic`.
const UBUNTU: &[&str] = &[
    "-generic",
    "-lowlatency",
    "-generic-hwe",
    "-generic-64k",
    "-aws",
    "-azure",
    "-azure-fde",
    "-gcp",
    "-gke",
    "-gkeop",
    "-ibm",
    "-kvm",
    "-oracle",
    "-oem",
    "-nvidia",
    "-realtime",
    "-raspi",
    "-virtual",
];
/// Endings of SUSE's releases: `5.14.21-150500.55.7-default`.
const SUSE: &[&str] =
    &["-default", "-preempt", "-azure", "-rt", "-debug", "-kvmsmall", "-64kb", "-vanilla", "-pae"];

/// The packages for a kernel by its release (`uname -r`) and version (`uname -v`, which may be empty).
/// Empty where the shape is nobody's: a kernel that somebody built.
#[must_use]
pub fn wanted_packages(release: &str, version: &str) -> Vec<WantedPackage> {
    let ubuntu = version.contains("Ubuntu");
    if version.contains("Debian") || (!ubuntu && ends(release, DEBIAN)) {
        return debian(release, version);
    }
    if let Some(found) = rpm(release) {
        return found;
    }
    if !ubuntu && is_suse(release) {
        return suse(release);
    }
    if ubuntu || ends(release, UBUNTU) {
        return ubuntu_packages(release, version);
    }
    if release.contains("-arch") {
        let package = "linux (no debug package): set DEBUGINFOD_URLS=https://debuginfod.archlinux.org".into();
        let build = Build::Named;
        return vec![WantedPackage {
            distro: "Arch Linux",
            package,
            build,
            holds: FILES,
            from: "debuginfod",
        }];
    }
    Vec::new()
}

/// `linux-image-RELEASE-dbg`; several builds have one release, and the version tells which (`Debian 6.1.27-1`).
fn debian(release: &str, version: &str) -> Vec<WantedPackage> {
    let mut words = version.split_whitespace().skip_while(|w| *w != "Debian").skip(1);
    let build = words.next().filter(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    let build = Build::of(build.map(str::to_owned));
    let mut numbers = release.split('.');
    let series =
        [numbers.next(), numbers.next()].map(|n| n.unwrap_or("").split(['-', '+']).next().unwrap_or(""));
    let wanted = |package, holds| WantedPackage {
        distro: "Debian",
        package,
        build: build.clone(),
        holds,
        from: "the archive of the release (main), older builds at snapshot.debian.org",
    };
    vec![
        wanted(format!("linux-image-{release}-dbg"), FILES),
        wanted(format!("linux-source-{}", series.join(".")), TEXT),
    ]
}

/// `#31-Ubuntu` and `#31~22.04.1-Ubuntu` are the builds 31 and 31~22.04.1 of a release.
fn ubuntu_packages(release: &str, version: &str) -> Vec<WantedPackage> {
    let build = version.strip_prefix('#').and_then(|v| v.split_whitespace().next()?.strip_suffix("-Ubuntu"));
    let numbers = release.match_indices('-').nth(1).and_then(|(at, _)| release.get(..at));
    let build = Build::of(numbers.zip(build).map(|(numbers, build)| format!("{numbers}.{build}")));
    let wanted = |name: String| WantedPackage {
        distro: "Ubuntu",
        package: format!("{name}-dbgsym"),
        build: build.clone(),
        holds: FILES,
        from: "ddebs.ubuntu.com",
    };
    // the signed image is made of the unsigned one, whose package has the files; some flavours are unsigned only
    // in name
    vec![wanted(format!("linux-image-unsigned-{release}")), wanted(format!("linux-image-{release}"))]
}

/// The packages' version has the number of the rebuild behind the release's.
fn suse(release: &str) -> Vec<WantedPackage> {
    let Some((numbers, flavour)) = release.rsplit_once('-') else { return Vec::new() };
    let wanted = |what, holds| WantedPackage {
        distro: "SUSE",
        package: format!("kernel-{flavour}-{what}-{numbers}.*"),
        build: Build::Named,
        holds,
        from: "the Debug repository (zypper --plus-content debug)",
    };
    vec![wanted("debuginfo", FILES), wanted("debugsource", TEXT)]
}

fn ends(release: &str, endings: &[&str]) -> bool {
    endings.iter().any(|e| release.ends_with(e))
}

/// SUSE's second part is the build, numbers with dots (`-150500.55.7-`, `-1-`); Ubuntu's is one number after
/// a version that ends in 0 (`5.15.0-91-`).
fn is_suse(release: &str) -> bool {
    let Some((numbers, _)) = release.rsplit_once('-').filter(|_| ends(release, SUSE)) else { return false };
    let Some((version, build)) = numbers.split_once('-') else { return false };
    build.contains('.') || !version.ends_with(".0") || !release.ends_with("-azure")
}

/// Fedora, Red Hat and their kin: `VERSION-BUILD.DIST.ARCH`, a variant behind a `+`.
fn rpm(release: &str) -> Option<Vec<WantedPackage>> {
    let (plain, variant) = release.split_once('+').unwrap_or((release, ""));
    // old ones have the variant at the end without a mark: 3.10.0-1160.el7.x86_64.debug
    let (plain, variant) = match plain.strip_suffix(".debug") {
        Some(plain) => (plain, "debug"),
        None => (plain, variant),
    };
    let (build, arch) = plain.rsplit_once('.')?;
    if !["x86_64", "aarch64", "ppc64le", "s390x", "i686", "ppc64"].contains(&arch) {
        return None;
    }
    let dist = build.rsplit_once('-')?.1;
    let has = |mark: &str| dist.split('.').any(|p| p.starts_with(mark) && p.len() > mark.len());
    let distro = match () {
        () if dist.contains("uek") => "Oracle Linux",
        () if has("fc") => "Fedora",
        () if has("el") => "RHEL/CentOS",
        () if has("amzn") => "Amazon Linux",
        () if has("oe") => "openEuler",
        () if has("an") || has("al") => "Anolis/Alibaba Linux",
        () => return None,
    };
    let mut name = String::from("kernel");
    if dist.contains("uek") {
        name.push_str("-uek");
    }
    let old_rt = build.contains(".rt") && variant.is_empty();
    for part in variant.split(['+', '-']).filter(|p| !p.is_empty()).chain(old_rt.then_some("rt")) {
        name.push('-');
        name.push_str(part);
    }
    let wanted = |package, holds| WantedPackage {
        distro,
        package,
        build: Build::Named,
        holds,
        from: "the debuginfo repository (dnf debuginfo-install, debuginfo-install)",
    };
    // the common part is one for all variants of a package (5.14.0-503.el9+rt); a real-time kernel that is a
    // package of its own (3.10.0-957.rt56.910.el7) has its own
    let common = match () {
        () if old_rt => "kernel-rt",
        () if dist.contains("uek") => "kernel-uek",
        () => "kernel",
    };
    Some(vec![
        wanted(format!("{name}-debuginfo-{plain}"), FILES),
        wanted(format!("{common}-debuginfo-common-{arch}-{plain}"), TEXT),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(release: &str, version: &str) -> String {
        wanted_packages(release, version)
            .first()
            .map_or("-".into(), |p| format!("{}: {}", p.distro, p.package))
    }

    #[test]
    fn every_distribution_by_its_shape() {
        let table = [
            ("6.1.0-0.deb11.21-amd64", "Debian: linux-image-6.1.0-0.deb11.21-amd64-dbg"),
            ("6.12.9+bpo-rt-amd64", "Debian: linux-image-6.12.9+bpo-rt-amd64-dbg"),
            ("6.1.0-56-cloud-amd64", "Debian: linux-image-6.1.0-56-cloud-amd64-dbg"),
            ("6.12.117+deb12-cloud-amd64", "Debian: linux-image-6.12.117+deb12-cloud-amd64-dbg"),
            ("5.15.0-91-generic", "Ubuntu: linux-image-unsigned-5.15.0-91-generic-dbgsym"),
            ("6.8.0-31-generic", "Ubuntu: linux-image-unsigned-6.8.0-31-generic-dbgsym"),
            ("6.5.0-1023-azure", "Ubuntu: linux-image-unsigned-6.5.0-1023-azure-dbgsym"),
            ("6.6.8-200.fc39.x86_64", "Fedora: kernel-debuginfo-6.6.8-200.fc39.x86_64"),
            ("6.6.8-200.fc39.x86_64+debug", "Fedora: kernel-debug-debuginfo-6.6.8-200.fc39.x86_64"),
            ("3.10.0-1160.el7.x86_64", "RHEL/CentOS: kernel-debuginfo-3.10.0-1160.el7.x86_64"),
            ("5.14.0-362.8.1.el9_3.x86_64", "RHEL/CentOS: kernel-debuginfo-5.14.0-362.8.1.el9_3.x86_64"),
            (
                "3.10.0-1160.rt56.1131.el7.x86_64",
                "RHEL/CentOS: kernel-rt-debuginfo-3.10.0-1160.rt56.1131.el7.x86_64",
            ),
            (
                "5.15.0-100.96.32.el8uek.x86_64",
                "Oracle Linux: kernel-uek-debuginfo-5.15.0-100.96.32.el8uek.x86_64",
            ),
            ("5.10.199-190.747.amzn2.x86_64", "Amazon Linux: kernel-debuginfo-5.10.199-190.747.amzn2.x86_64"),
            ("5.14.21-150500.55.7-default", "SUSE: kernel-default-debuginfo-5.14.21-150500.55.7.*"),
            ("6.4.0-150600.21-default", "SUSE: kernel-default-debuginfo-6.4.0-150600.21.*"),
            ("4.12.14-lp151.28.25-default", "SUSE: kernel-default-debuginfo-4.12.14-lp151.28.25.*"),
            ("6.6.7-1-default", "SUSE: kernel-default-debuginfo-6.6.7-1.*"),
            ("5.14.21-150500.33.6-azure", "SUSE: kernel-azure-debuginfo-5.14.21-150500.33.6.*"),
            ("6.7.0-rc4-mine", "-"),
        ];
        for (release, wanted) in table {
            assert_eq!(first(release, "#1 SMP"), wanted, "{release}");
        }
    }

    #[test]
    fn the_version_string_decides_where_the_release_does_not() {
        assert!(first("5.15.0-1023-custom", "#30-Ubuntu SMP").starts_with("Ubuntu"));
        assert!(first("6.1.0-9-rt-amd64", "#1 SMP PREEMPT_RT Debian 6.1.27-1").starts_with("Debian"));
    }

    /// As package managers take them: `NAME=VERSION`.
    fn all(release: &str, version: &str) -> Vec<String> {
        wanted_packages(release, version).iter().map(WantedPackage::spec).collect()
    }

    #[test]
    fn the_command_that_brings_it() {
        let command = |release: &str, version: &str| wanted_packages(release, version).remove(0).command();
        let debian = command("6.1.0-56-cloud-amd64", "#1 SMP Debian 6.1.192-2 (2026-11-16)");
        assert_eq!(
            debian.as_deref(),
            Some("apt-get download linux-image-6.1.0-56-cloud-amd64-dbg=6.1.192-2")
        );
        assert_eq!(
            command("6.6.8-200.fc39.x86_64", "").as_deref(),
            Some("dnf download '--enablerepo=*debug*' kernel-debuginfo-6.6.8-200.fc39.x86_64")
        );
        let suse = "zypper --plus-content debug install 'kernel-default-debuginfo-6.6.7-1.*'";
        assert_eq!(command("6.6.7-1-default", "").as_deref(), Some(suse));
        assert_eq!(command("6.6.7-arch1-1", ""), None);
    }

    #[test]
    fn the_version_tells_the_build() {
        let debian = all("6.1.0-56-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)");
        assert_eq!(debian, ["linux-image-6.1.0-56-cloud-amd64-dbg=6.1.192-2", "linux-source-6.1=6.1.192-2"]);
        let untold = wanted_packages("6.12.9+bpo-amd64", "").remove(1);
        assert_eq!((untold.package.as_str(), untold.build), ("linux-source-6.12", Build::Untold));
        let noble = all("6.8.0-31-generic", "#31-Ubuntu SMP PREEMPT_DYNAMIC Sat Apr 20 00:40:06 UTC 2024");
        assert_eq!(
            noble,
            [
                "linux-image-unsigned-6.8.0-31-generic-dbgsym=6.8.0-31.31",
                "linux-image-6.8.0-31-generic-dbgsym=6.8.0-31.31"
            ]
        );
        let jammy = all("6.5.0-1023-azure", "#24~22.04.1-Ubuntu SMP Wed Jun 12 19:55:26 UTC 2024");
        assert_eq!(jammy[0], "linux-image-unsigned-6.5.0-1023-azure-dbgsym=6.5.0-1023.24~22.04.1");
    }

    #[test]
    fn both_packages_of_red_hat() {
        let common = |release: &str| all(release, "").remove(1);
        assert_eq!(common("3.10.0-1160.el7.x86_64"), "kernel-debuginfo-common-x86_64-3.10.0-1160.el7.x86_64");
        // with a + it is a variant of the kernel's own package
        assert_eq!(
            all("5.14.0-503.21.1.el9_5.x86_64+rt", "")[0],
            "kernel-rt-debuginfo-5.14.0-503.21.1.el9_5.x86_64"
        );
        assert_eq!(
            common("5.14.0-503.21.1.el9_5.x86_64+rt"),
            "kernel-debuginfo-common-x86_64-5.14.0-503.21.1.el9_5.x86_64"
        );
        assert_eq!(
            common("3.10.0-957.rt56.910.el7.x86_64"),
            "kernel-rt-debuginfo-common-x86_64-3.10.0-957.rt56.910.el7.x86_64"
        );
        assert_eq!(
            all("5.14.0-503.21.1.el9_5.x86_64+rt-debug", "")[0],
            "kernel-rt-debug-debuginfo-5.14.0-503.21.1.el9_5.x86_64"
        );
    }
}
