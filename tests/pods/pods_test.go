package pods

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The life of an installation. Each step goes on from where the one before it has got to.
func TestPods(t *testing.T) {
	for _, step := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"an_application_waits_while_there_is_no_Secret", applicationWaits},
		{"Helm_installs_two_replicas_under_Pod_Security_restricted", installs},
		{"a_PostgresUser_lets_the_application_log_in", applicationLogsIn},
		{"an_upgrade_to_another_image_changes_no_login", upgradeChangesNothing},
		{"an_upgrade_amid_a_rotation_ends_with_the_new_password", upgradeAmidRotation},
		{"when_the_leader_dies_the_other_replica_takes_over", leaderDies},
		{"when_the_leader_is_evicted_the_other_replica_takes_over", leaderIsEvicted},
		{"uninstalling_leaves_CRDs_users_Secrets_and_logins_and_says_so", uninstallLeaves},
		{"installing_again_writes_to_no_login", installAgain},
		{"losing_the_namespace_of_the_operator_loses_no_login", loseNamespace},
	} {
		if !t.Run(step.name, step.run) {
			showWhy(t)
			return
		}
	}
}

// showWhy shows what a person would look at first.
func showWhy(t *testing.T) {
	for _, arguments := range [][]string{
		{"get", "pods,postgresusers,postgresservers,leases", "--all-namespaces", "--output", "wide"},
		{"get", "events", "--all-namespaces", "--sort-by", ".lastTimestamp"},
		{"logs", "--namespace", namespace, "--selector", "app.kubernetes.io/name=pguser-operator", "--prefix", "--tail", "40"},
		{"logs", "--namespace", "shop", "app", "--tail", "10"},
	} {
		out, err := run("", filepath.Join(node, "kubectl"), arguments...)
		t.Logf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, out)
	}
}

func applicationWaits(t *testing.T) {
	eventually(t, time.Minute, "the node is ready", func() bool {
		return get(`{.items[0].status.conditions[?(@.type=="Ready")].status}`, "nodes") == "True"
	})
	makeNamespace(t, "shop")
	eventually(t, time.Minute, "the namespace has a ServiceAccount", func() bool {
		return get("{.metadata.name}", "serviceaccount", "default", "--namespace", "shop") != ""
	})
	apply(t, application)
	eventually(t, time.Minute, "kubelet misses the Secret", func() bool {
		said := get(`{.items[?(@.reason=="FailedMount")].message}`, "events", "--namespace", "shop")
		return strings.Contains(said, `secret "checkout-postgres" not found`)
	})
	const path = "{.status.phase} {.status.containerStatuses[0].state.waiting.reason}"
	if is := get(path, "pod", "app", "--namespace", "shop"); is != "Pending ContainerCreating" {
		t.Error(is)
	}
}

func installs(t *testing.T) {
	makeNamespace(t, namespace)
	started := time.Now()
	install(t)
	t.Logf("helm install --wait: %s", time.Since(started).Round(100*time.Millisecond))
	if pods := operatorPods(); len(pods) != 2 {
		t.Fatal(pods)
	}
	found := processes(t)
	if len(found) != 2 {
		t.Fatalf("%d processes", len(found))
	}
	for _, p := range found {
		t.Logf("from the start of its process until it serves probes: %s", p.startUp(t))
		if uid := strings.Fields(p.field("Uid")); !slices.Equal(uid, []string{"65532", "65532", "65532", "65532"}) {
			t.Errorf("it runs as %s", uid)
		}
		if capabilities := p.field("CapBnd"); strings.Trim(capabilities, "0") != "" {
			t.Errorf("it may have capabilities %s", capabilities)
		}
		if p.field("Seccomp") != "2" || p.field("NoNewPrivs") != "1" {
			t.Errorf("seccomp %s, no new privileges %s", p.field("Seccomp"), p.field("NoNewPrivs"))
		}
	}
}

func applicationLogsIn(t *testing.T) {
	apply(t, server())
	apply(t, user("checkout"))
	applied := time.Now()
	t.Logf("PostgresUser ready: %s", readySoon(t, "checkout"))
	eventually(t, 3*time.Minute, "the application runs", func() bool {
		return get("{.status.phase}", "pod", "app", "--namespace", "shop") == "Running"
	})
	worksFrom(t, applied)
	t.Logf("the application, which had waited, has logged in: %s after the PostgresUser was made", time.Since(applied).Round(100*time.Millisecond))
	hasWorked(t, applied)
	// The operator has, too, with the Secret's content and over verified TLS: so it has resolved the name.
	const verified = `{.status.conditions[?(@.type=="CredentialsVerified")].reason}`
	if reason := get(verified, "postgresuser", "checkout", "--namespace", "shop"); reason != "LoginSucceeded" {
		t.Error(reason)
	}
	for _, p := range processes(t) {
		t.Logf("memory of a replica: %s (at its highest %s)", p.field("VmRSS"), p.field("VmHWM"))
	}
}

// otherImage gives the operator's image another name.
func otherImage(t *testing.T, tag string) string {
	t.Helper()
	repository, _, _ := strings.Cut(operator.name, ":")
	must(t, "", "ctr", "--namespace", "k8s.io", "images", "tag", "docker.io/library/"+operator.name, "docker.io/library/"+repository+":"+tag)
	return repository + ":" + tag
}

func upgrade(t *testing.T, image string) {
	t.Helper()
	helm(t, values(image), "upgrade", release, chart, "--values", "-")
	eventually(t, time.Minute, "two replicas are ready", func() bool { return len(operatorPods()) == 2 })
	eventually(t, time.Minute, "one of them leads", func() bool { return slices.Contains(operatorPods(), leader()) })
	for _, pod := range operatorPods() {
		if runs := get("{.spec.containers[0].image}", "pod", pod, "--namespace", namespace); runs != image {
			t.Errorf("%s runs %s", pod, runs)
		}
	}
}

func upgradeChangesNothing(t *testing.T) {
	version, _ := published(t, "checkout")
	role, before := roleVersion(t, "checkout"), time.Now()
	upgrade(t, otherImage(t, "another"))
	// A login of its own shows that the new leader has been at work before anything is compared.
	apply(t, user("upgraded"))
	readySoon(t, "upgraded")
	if now, _ := published(t, "checkout"); now != version {
		t.Errorf("the Secret was at %s and is at %s", version, now)
	}
	if now := roleVersion(t, "checkout"); now != role {
		t.Errorf("the login was at %s and is at %s", role, now)
	}
	t.Logf("the application has logged in %d times meanwhile", hasWorked(t, before))
}

func upgradeAmidRotation(t *testing.T) {
	_, old := published(t, "checkout")
	handled := func() bool {
		return get("{.status.lastHandledRotation}", "postgresuser", "checkout", "--namespace", "shop") == "once" && ready("checkout")
	}
	letGo, before := hold(t, "checkout"), time.Now()
	kubectl(t, "annotate", "postgresuser", "checkout", "--namespace", "shop", "pguser.dev/rotate=once", "--overwrite")
	eventually(t, time.Minute, "the operator changes the login, and is held", func() bool {
		waiting, err := ask("SELECT count(*) FROM pg_stat_activity WHERE usename = '" + administrator + "' AND wait_event_type = 'Lock'")
		return err == nil && waiting != "0"
	})
	upgrade(t, operator.name)
	if _, now := published(t, "checkout"); now != old || handled() {
		t.Error("the rotation has not been held")
	}
	hasWorked(t, before)
	letGo()
	t.Logf("the rotation that the former leader began is done: %s", eventually(t, time.Minute, "the rotation is done", handled))
	if _, now := published(t, "checkout"); now == old {
		t.Error("the password is the old one")
	}
	t.Logf("kubelet has brought it to the application after another %s", worksFrom(t, time.Now()))
}

// takesOver makes a leader go, and measures when another has its place and when it serves a new user.
func takesOver(t *testing.T, login string, goes func(pod string)) {
	t.Helper()
	former := leader()
	if !slices.Contains(operatorPods(), former) {
		t.Fatalf("%q leads", former)
	}
	started := time.Now()
	goes(former)
	apply(t, user(login))
	eventually(t, time.Minute, "another leads", func() bool { return leader() != former && leader() != "" })
	led := time.Since(started)
	readySoon(t, login)
	t.Logf("another led after %s, and a new PostgresUser was served after %s",
		led.Round(100*time.Millisecond), time.Since(started).Round(100*time.Millisecond))
	eventually(t, time.Minute, "two replicas are ready", func() bool { return len(operatorPods()) == 2 })
	hasWorked(t, started)
}

func leaderDies(t *testing.T) {
	takesOver(t, "after-death", func(pod string) {
		id := get("{.status.containerStatuses[0].containerID}", "pod", pod, "--namespace", namespace)
		must(t, "", "ctr", "--namespace", "k8s.io", "tasks", "kill", "--signal", "SIGKILL", strings.TrimPrefix(id, "containerd://"))
		kubectl(t, "delete", "pod", pod, "--namespace", namespace, "--force", "--grace-period=0")
	})
}

func leaderIsEvicted(t *testing.T) {
	takesOver(t, "after-eviction", func(pod string) {
		kubectl(t, "delete", "pod", pod, "--namespace", namespace, "--wait=false")
	})
}

func crds() string {
	return get(`{.items[?(@.spec.group=="pguser.dev")].metadata.name}`, "customresourcedefinitions")
}

func uninstallLeaves(t *testing.T) {
	made, before := crds(), time.Now()
	version, _ := published(t, "checkout")
	role := roleVersion(t, "checkout")
	told := helm(t, "", "uninstall", release)
	for _, crd := range strings.Fields(made) {
		if !strings.Contains(told, crd) {
			t.Errorf("Helm does not say that %s stays: %s", crd, told)
		}
	}
	eventually(t, time.Minute, "the operator is gone", func() bool { return len(processes(t)) == 0 })
	if left := crds(); len(strings.Fields(left)) != 3 || left != made {
		t.Errorf("there were %s and are %s", made, left)
	}
	if !ready("checkout") {
		t.Error("the PostgresUser is not ready any more")
	}
	if now, _ := published(t, "checkout"); now != version {
		t.Errorf("the Secret was at %s and is at %s", version, now)
	}
	if now := roleVersion(t, "checkout"); now != role {
		t.Errorf("the login was at %s and is at %s", role, now)
	}
	hasWorked(t, before)
}

func installAgain(t *testing.T) {
	version, _ := published(t, "checkout")
	role, before := roleVersion(t, "checkout"), time.Now()
	install(t)
	apply(t, user("installed-again"))
	readySoon(t, "installed-again")
	if now, _ := published(t, "checkout"); now != version || !ready("checkout") {
		t.Errorf("the Secret was at %s and is at %s", version, now)
	}
	if now := roleVersion(t, "checkout"); now != role {
		t.Errorf("the login was at %s and is at %s", role, now)
	}
	hasWorked(t, before)
}

func loseNamespace(t *testing.T) {
	_, password := published(t, "checkout")
	role, before := roleVersion(t, "checkout"), time.Now()
	kubectl(t, "delete", "namespace", namespace, "--timeout=1m")
	makeNamespace(t, namespace)
	install(t)
	apply(t, user("namespace-again"))
	readySoon(t, "namespace-again")
	if _, now := published(t, "checkout"); now != password || !ready("checkout") {
		t.Error("the password is another one, or the user is not ready")
	}
	if now := roleVersion(t, "checkout"); now != role {
		t.Errorf("the login was at %s and is at %s", role, now)
	}
	hasWorked(t, before)
}
