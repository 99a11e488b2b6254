//! Which cluster, and as whom: kubeconfigs as kubectl reads them.
//!
//! The library merges files by the same rules but for three things: it stops at a file that is missing, it takes an empty
//! `current-context` for one, and its NO_PROXY is another (see `proxy`). So what it parses is put together here.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use kube::Config;
use kube::client::AuthError;
use kube::config::{AuthInfo, Cluster, Context, ExecAuthCluster, Kubeconfig, KubeconfigError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::cluster::Flags;
use super::failure::{Failure, chain};
use super::proxy;

/// The way to the cluster that the flags and kubeconfigs mean.
pub fn config(flags: &Flags) -> Result<Config, Failure> {
    let environment = proxy::Environment::read();
    let kubeconfig = read(flags)?;
    let mut config = match in_cluster(flags, &kubeconfig) {
        Some(mut config) => {
            config.proxy_url = proxy::of(&config.cluster_url, None, &environment)?;
            config
        }
        None => chosen(&kubeconfig, flags)?.config(&environment)?,
    };
    impersonate(flags, &mut config.auth_info)?;
    Ok(config)
}

/// In a Pod that has no kubeconfig, its own cluster is meant.
fn in_cluster(flags: &Flags, kubeconfig: &Kubeconfig) -> Option<Config> {
    let is_empty = kubeconfig.clusters.is_empty()
        && kubeconfig.contexts.is_empty()
        && kubeconfig.current_context.is_none();
    let says_which = flags.kubeconfig.is_some() || flags.context.is_some() || flags.cluster.is_some();
    (is_empty && !says_which).then(|| Config::incluster().ok())?
}

// ------------------------------------------------------------------------------------------------------------ reading

/// The file of the flag, those of KUBECONFIG, or the usual one.
fn read(flags: &Flags) -> Result<Kubeconfig, Failure> {
    if let Some(path) = &flags.kubeconfig {
        let found = file(path)?;
        return found.ok_or_else(|| {
            Failure::Usage(format!("--kubeconfig {}: there is no such file", path.display()))
        });
    }
    let list = std::env::var_os("KUBECONFIG").unwrap_or_default();
    let named: Vec<PathBuf> = std::env::split_paths(&list)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    let usual = std::env::home_dir().map(|home| home.join(".kube").join("config"));
    match named.is_empty() {
        true => merged(usual),
        false => merged(named),
    }
}

/// The files as one: of each thing the first one counts. Files that are missing are passed over.
fn merged(paths: impl IntoIterator<Item = PathBuf>) -> Result<Kubeconfig, Failure> {
    let mut all = Kubeconfig::default();
    for path in paths {
        if let Some(next) = file(&path)? {
            all = all.merge(next).map_err(|error| unreadable(&path, &error))?;
        }
    }
    Ok(all)
}

fn file(path: &Path) -> Result<Option<Kubeconfig>, Failure> {
    match Kubeconfig::read_from(path) {
        Ok(read) => Ok(Some(as_kubectl_sees_it(read))),
        Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// What is empty counts as not said, and what a file says of its own kind does not count.
fn as_kubectl_sees_it(mut read: Kubeconfig) -> Kubeconfig {
    read.kind = None;
    read.api_version = None;
    read.current_context = read.current_context.filter(|name| !name.is_empty());
    read
}

/// What is wrong with a file. The lines themselves are not shown, since there may be a token in them.
fn unreadable(path: &Path, error: &KubeconfigError) -> Failure {
    let why = match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        KubeconfigError::Parse(error) => match error.location() {
            Some(place) => format!("line {} is no part of a kubeconfig, or no YAML", place.line()),
            None => "it is no kubeconfig".to_string(),
        },
        error => chain(error),
    };
    Failure::Other(format!("the kubeconfig {}: {why}", path.display()))
}

// ----------------------------------------------------------------------------------------------------------- choosing

/// A cluster, a user and a namespace.
struct Chosen {
    cluster: Cluster,
    user: AuthInfo,
    namespace: Option<String>,
}

fn chosen(kubeconfig: &Kubeconfig, flags: &Flags) -> Result<Chosen, Failure> {
    let context = context(kubeconfig, flags)?;
    let name = flags.cluster.as_deref().unwrap_or(&context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|it| it.name == name);
    let cluster = cluster
        .and_then(|it| it.cluster.clone())
        .ok_or_else(|| unknown("cluster", name, kubeconfig.clusters.iter().map(|it| &it.name)))?;
    let mut user = user(kubeconfig, flags, context.user.as_deref())?;
    if let Some(exec) = &mut user.exec
        && exec.provide_cluster_info
    {
        let told = ExecAuthCluster::try_from(&cluster);
        exec.cluster = Some(told.map_err(|error| Failure::Other(chain(&error)))?);
    }
    Ok(Chosen {
        cluster,
        user,
        namespace: context.namespace.filter(|namespace| !namespace.is_empty()),
    })
}

fn context(kubeconfig: &Kubeconfig, flags: &Flags) -> Result<Context, Failure> {
    let names = kubeconfig.contexts.iter().map(|it| &it.name);
    let Some(name) = flags.context.as_ref().or(kubeconfig.current_context.as_ref()) else {
        return match &flags.cluster {
            Some(_) => Ok(Context::default()),
            None => Err(Failure::Other(format!(
                "no cluster to speak to: no context is set; set KUBECONFIG, --kubeconfig or --context{}",
                listed(names)
            ))),
        };
    };
    let found = kubeconfig.contexts.iter().find(|it| it.name == *name);
    found
        .and_then(|it| it.context.clone())
        .ok_or_else(|| unknown("context", name, names))
}

/// The user of the flag, who has to be there, or that of the context, who need not.
fn user(kubeconfig: &Kubeconfig, flags: &Flags, usual: Option<&str>) -> Result<AuthInfo, Failure> {
    let Some(name) = flags.user.as_deref().or(usual) else {
        return Ok(AuthInfo::default());
    };
    let found = kubeconfig.auth_infos.iter().find(|it| it.name == name);
    match found.and_then(|it| it.auth_info.clone()) {
        Some(user) => Ok(user),
        None if flags.user.is_none() => Ok(AuthInfo::default()),
        None => Err(unknown(
            "user",
            name,
            kubeconfig.auth_infos.iter().map(|it| &it.name),
        )),
    }
}

fn unknown<'a>(what: &str, name: &str, names: impl Iterator<Item = &'a String>) -> Failure {
    Failure::Other(format!(
        "there is no {what} {name:?} in the kubeconfig{}",
        listed(names)
    ))
}

/// How many names are told.
const MOST_NAMES: usize = 10;

/// The names that there are, as the end of a message.
fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let rest = if names.len() > MOST_NAMES { ", …" } else { "" };
    match names.is_empty() {
        true => String::new(),
        false => format!(
            "; there are: {}{rest}",
            names[..names.len().min(MOST_NAMES)].join(", ")
        ),
    }
}

fn impersonate(flags: &Flags, user: &mut AuthInfo) -> Result<(), Failure> {
    if let Some(name) = &flags.as_user {
        user.impersonate = Some(name.clone());
    }
    if flags.as_group.is_empty() {
        return Ok(());
    }
    if user.impersonate.as_ref().is_none_or(String::is_empty) {
        return Err(Failure::Usage(
            "--as-group counts only for somebody: say --as as well".to_string(),
        ));
    }
    user.impersonate_groups = Some(flags.as_group.clone());
    Ok(())
}

// ---------------------------------------------------------------------------------------------------- what is made of it

impl Chosen {
    fn config(self, environment: &proxy::Environment) -> Result<Config, Failure> {
        let server = self.cluster.server.clone().unwrap_or_default();
        let url: Uri = server.parse().map_err(|_| {
            Failure::Other(format!(
                "the kubeconfig's cluster: server {server:?} is no URL: write https://HOST:PORT"
            ))
        })?;
        let mut config = Config::new(url);
        config.proxy_url = proxy::of(
            &config.cluster_url,
            self.cluster.proxy_url.as_deref(),
            environment,
        )?;
        config.root_cert = authorities(&self.cluster)?;
        config.accept_invalid_certs = self.cluster.insecure_skip_tls_verify.unwrap_or_default();
        config.disable_compression = self.cluster.disable_compression.unwrap_or_default();
        config.tls_server_name = self.cluster.tls_server_name.filter(|name| !name.is_empty());
        config.default_namespace = self.namespace.unwrap_or_else(|| "default".to_string());
        config.auth_info = self.user;
        Ok(config)
    }
}

/// The certificates of the authorities that a cluster trusts; none for the system's.
fn authorities(cluster: &Cluster) -> Result<Option<Vec<Vec<u8>>>, Failure> {
    let wrong = |field: &str, why: &str| Failure::Other(format!("the kubeconfig's cluster: {field}: {why}"));
    let data = cluster
        .certificate_authority_data
        .as_ref()
        .filter(|it| !it.is_empty());
    let path = cluster.certificate_authority.as_ref().filter(|it| !it.is_empty());
    let (field, pem) = match (data, path) {
        (Some(data), _) => {
            let field = "certificate-authority-data";
            let text: String = data.split_whitespace().collect();
            let pem = STANDARD
                .decode(text)
                .map_err(|_| wrong(field, "it is no base64"))?;
            (field, pem)
        }
        (None, Some(path)) => {
            let field = "certificate-authority";
            let pem = std::fs::read(path).map_err(|error| wrong(field, &format!("{path}: {error}")))?;
            (field, pem)
        }
        (None, None) => return Ok(None),
    };
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| wrong(field, "it is no PEM"))?;
        found.push(certificate.as_ref().to_vec());
    }
    match found.is_empty() {
        true => Err(wrong(field, "it holds no certificate in PEM")),
        false => Ok(Some(found)),
    }
}

/// Why there is no client. What a credential plugin printed is not told, since it may hold a token.
pub fn unusable(error: &kube::Error, user: &AuthInfo) -> Failure {
    let exec = user.exec.as_ref();
    let program = exec.and_then(|exec| exec.command.as_deref()).unwrap_or_default();
    let plugin = format!("the kubeconfig's user gets its credentials from the program {program:?}");
    let why = match error {
        kube::Error::Auth(AuthError::AuthExecStart(error)) if error.kind() == ErrorKind::NotFound => {
            let hint = exec.and_then(|exec| exec.install_hint.as_deref());
            let hint = hint.map(|hint| format!("\n{}", hint.trim())).unwrap_or_default();
            format!("{plugin}, which is not there or not on PATH: install it{hint}")
        }
        kube::Error::Auth(AuthError::AuthExecStart(error)) => {
            format!("{plugin}, which cannot be run: {error}")
        }
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            format!(
                "{plugin}, which failed ({}): run it by hand to see why",
                out.status
            )
        }
        kube::Error::Auth(AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed) => {
            format!("{plugin}, whose answer is no ExecCredential: see whether it is up to date")
        }
        error => format!("the kubeconfig cannot be used: {}", chain(error)),
    };
    Failure::Other(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A folder of its own for each test, which is gone with it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("pguser-{}-{test}", std::process::id()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn flags() -> Flags {
        Flags {
            kubeconfig: None,
            context: None,
            cluster: None,
            user: None,
            as_user: None,
            as_group: Vec::new(),
            request_timeout: None,
            namespace: None,
        }
    }

    const FIRST: &str = r#"
apiVersion: v1
kind: Config
current-context: ""
clusters: [{name: one, cluster: {server: "https://first.example"}}]
users: [{name: red, user: {token: first}}]
contexts: [{name: one, context: {cluster: one, user: red, namespace: shop}}]
"#;
    const SECOND: &str = r#"
current-context: two
clusters:
- {name: one, cluster: {server: "https://other.example"}}
- {name: two, cluster: {server: "https://second.example:6443", tls-server-name: api}}
users: [{name: blue, user: {as: somebody}}]
contexts:
- {name: two, context: {cluster: two, user: blue}}
"#;

    fn both(folder: &Folder) -> Kubeconfig {
        let paths = [
            folder.0.join("missing"),
            folder.file("first", FIRST),
            folder.file("empty", ""),
            folder.file("second", SECOND),
        ];
        merged(paths).unwrap()
    }

    fn made(kubeconfig: &Kubeconfig, flags: &Flags) -> Result<Config, Failure> {
        let mut config = chosen(kubeconfig, flags)?.config(&proxy::Environment::default())?;
        impersonate(flags, &mut config.auth_info)?;
        Ok(config)
    }

    #[test]
    fn files_are_merged_missing_ones_passed_over_and_an_empty_context_is_none() {
        let all = both(&Folder::new("merge"));
        assert_eq!(all.current_context.as_deref(), Some("two"));
        let config = made(&all, &flags()).unwrap();
        assert_eq!(config.cluster_url, "https://second.example:6443");
        assert_eq!(config.default_namespace, "default");
        assert_eq!(config.tls_server_name.as_deref(), Some("api"));
        let first = Flags {
            context: Some("one".to_string()),
            ..flags()
        };
        let config = made(&all, &first).unwrap();
        assert_eq!(config.cluster_url, "https://first.example");
        assert_eq!(config.default_namespace, "shop");
    }

    #[test]
    fn flags_go_before_the_context() {
        let all = both(&Folder::new("flags"));
        let said = Flags {
            cluster: Some("one".to_string()),
            user: Some("red".to_string()),
            as_user: Some("auditor".to_string()),
            as_group: vec!["a".to_string(), "b".to_string()],
            ..flags()
        };
        let config = made(&all, &said).unwrap();
        assert_eq!(config.cluster_url, "https://first.example");
        assert!(config.auth_info.token.is_some());
        assert_eq!(config.auth_info.impersonate.as_deref(), Some("auditor"));
        assert_eq!(
            config.auth_info.impersonate_groups,
            Some(vec!["a".to_string(), "b".to_string()])
        );
        let groups = Flags {
            as_group: vec!["a".to_string()],
            ..flags()
        };
        // The context's user says for whom.
        assert_eq!(
            made(&all, &groups).unwrap().auth_info.impersonate.as_deref(),
            Some("somebody")
        );
        let nobody = Flags {
            user: Some("red".to_string()),
            ..groups
        };
        assert!(matches!(made(&all, &nobody), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_is_not_there_is_named_with_what_is() {
        let all = both(&Folder::new("unknown"));
        let set = |set: fn(&mut Flags)| {
            let mut flags = flags();
            set(&mut flags);
            made(&all, &flags).unwrap_err().to_string()
        };
        let context = set(|flags| flags.context = Some("three".to_string()));
        assert!(
            context.contains("context \"three\"") && context.contains("one, two"),
            "{context}"
        );
        let cluster = set(|flags| flags.cluster = Some("three".to_string()));
        assert!(cluster.contains("cluster \"three\""), "{cluster}");
        let user = set(|flags| flags.user = Some("green".to_string()));
        assert!(
            user.contains("user \"green\"") && user.contains("red, blue"),
            "{user}"
        );
        let none = made(&Kubeconfig::default(), &flags()).unwrap_err().to_string();
        assert!(none.contains("no context is set"), "{none}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_and_not_shown() {
        let folder = Folder::new("unreadable");
        let path = folder.file("bad", "users: [{name: a, user: {token: hidden}}\nclusters: 7\n");
        let told = merged([path]).unwrap_err().to_string();
        assert!(told.contains("/bad: ") && !told.contains("hidden"), "{told}");
        let explicit = Flags {
            kubeconfig: Some(folder.0.join("missing")),
            ..flags()
        };
        assert!(matches!(read(&explicit), Err(Failure::Usage(_))));
    }

    #[test]
    fn authorities_are_read_from_data_or_file() {
        let folder = Folder::new("authorities");
        let signed = rcgen::generate_simple_self_signed(vec!["api.example".to_string()]).unwrap();
        let pem = signed.cert.pem();
        let cluster =
            |certificate: serde_json::Value| -> Cluster { serde_json::from_value(certificate).unwrap() };
        let expected = Some(vec![signed.cert.der().as_ref().to_vec()]);
        let data = cluster(json!({"certificate-authority-data": STANDARD.encode(&pem)}));
        assert_eq!(authorities(&data).unwrap(), expected);
        let path = folder.file("ca.crt", &pem);
        let file = cluster(json!({"certificate-authority": path, "certificate-authority-data": ""}));
        assert_eq!(authorities(&file).unwrap(), expected);
        assert_eq!(authorities(&cluster(json!({}))).unwrap(), None);
        let none = cluster(json!({"certificate-authority-data": STANDARD.encode("nothing")}));
        assert!(
            authorities(&none)
                .unwrap_err()
                .to_string()
                .contains("no certificate")
        );
    }

    #[test]
    fn a_missing_credential_plugin_is_named_with_its_hint() {
        let exec = json!({"command": "no-such-plugin-anywhere", "apiVersion": "client.authentication.k8s.io/v1",
            "interactiveMode": "Never", "installHint": "Get it from https://plugins.example.\n"});
        let user: AuthInfo = serde_json::from_value(json!({"exec": exec})).unwrap();
        let missing = std::io::Error::from(ErrorKind::NotFound);
        let error = kube::Error::Auth(AuthError::AuthExecStart(missing));
        let told = unusable(&error, &user).to_string();
        assert!(told.contains("\"no-such-plugin-anywhere\""), "{told}");
        assert!(told.ends_with("\nGet it from https://plugins.example."), "{told}");
    }

    #[test]
    fn what_a_credential_plugin_prints_is_not_told() {
        let user: AuthInfo = serde_json::from_value(json!({"exec": {"command": "plugin"}})).unwrap();
        let out = std::process::Output {
            status: std::process::ExitStatus::default(),
            stdout: b"hidden".to_vec(),
            stderr: b"hidden".to_vec(),
        };
        let error = kube::Error::Auth(AuthError::AuthExecRun {
            cmd: "plugin --token=hidden".to_string(),
            out: Box::new(out),
        });
        let told = unusable(&error, &user).to_string();
        assert!(told.contains("\"plugin\"") && !told.contains("hidden"), "{told}");
    }
}
