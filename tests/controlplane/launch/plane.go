package launch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const loopback = "127.0.0.1"

//go:embed audit-policy.yaml
var auditPolicy []byte

// controllers are those that tests can see the work of; the others would cost memory and start-up time.
var controllers = []string{
	"clusterrole-aggregation-controller",
	"deployment-controller",
	"garbage-collector-controller",
	"namespace-controller",
	"replicaset-controller",
	"resourcequota-controller",
	"root-ca-certificate-publisher-controller",
	"serviceaccount-controller",
	"validatingadmissionpolicy-status-controller",
}

// plane is a control plane whose files are made and whose ports are chosen.
type plane struct {
	options
	etcd   string
	server string
}

type component struct {
	name string
	args []string
}

func prepare(options options) (*plane, error) {
	p := &plane{options: options}
	if _, err := os.Stat(p.path("etcd")); err == nil {
		return nil, errors.New("it holds the data of a control plane that runs, or was killed; take another folder")
	}
	for _, dir := range []string{"certs", "logs"} {
		if err := os.MkdirAll(p.path(dir), 0o755); err != nil {
			return nil, err
		}
	}
	ports, err := freePorts(loopback, p.host())
	if err != nil {
		return nil, err
	}
	p.etcd = "http://" + ports[0]
	p.server = "https://" + ports[1]
	return p, errors.Join(
		p.writeCertificates(),
		os.WriteFile(p.path("audit-policy.yaml"), auditPolicy, 0o644),
		p.writeKubeconfig(p.path("controller-manager.kubeconfig"), "controller-manager"),
		p.writeKubeconfig(p.kubeconfig, "admin"),
		p.prepareNode(),
	)
}

// host is where the API server is reached. Pods cannot reach the loopback of their node.
func (p *plane) host() string {
	if p.node == "" {
		return loopback
	}
	return p.node
}

func (p *plane) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

func (p *plane) writeCertificates() error {
	ca, err := newAuthority(p.path("certs"))
	if err != nil {
		return err
	}
	return errors.Join(
		ca.server("apiserver", net.ParseIP(p.host())),
		ca.client("admin", "admin", "system:masters"),
		ca.client("controller-manager", "system:kube-controller-manager"),
		p.writeNodeCertificates(ca),
		writeServiceAccountKeys(p.path("certs")),
	)
}

// components are the programs to start, with their arguments, in order.
func (p *plane) components() []component {
	host, port, _ := net.SplitHostPort(strings.TrimPrefix(p.server, "https://"))
	return p.withNode([]component{
		{"etcd", []string{
			"--data-dir=" + p.path("etcd"),
			"--listen-client-urls=" + p.etcd,
			"--advertise-client-urls=" + p.etcd,
			"--listen-peer-urls=http://127.0.0.1:0",
			"--unsafe-no-fsync",
			"--log-level=warn",
		}},
		{"kube-apiserver", []string{
			"--etcd-servers=" + p.etcd,
			"--bind-address=" + host,
			"--advertise-address=" + host,
			"--secure-port=" + port,
			"--endpoint-reconciler-type=none",
			"--tls-cert-file=" + p.path("certs", "apiserver.crt"),
			"--tls-private-key-file=" + p.path("certs", "apiserver.key"),
			"--client-ca-file=" + p.path("certs", "ca.crt"),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + p.path("certs", "service-account.pub"),
			"--service-account-signing-key-file=" + p.path("certs", "service-account.key"),
			"--service-cluster-ip-range=10.0.0.0/24",
			"--audit-policy-file=" + p.path("audit-policy.yaml"),
			"--audit-log-path=" + p.auditLog,
			// Tests read it as it grows: it must not begin anew after the 100 MB that are usual.
			"--audit-log-maxsize=10000",
			"--profiling=false",
		}},
		{"kube-controller-manager", []string{
			"--kubeconfig=" + p.path("controller-manager.kubeconfig"),
			"--controllers=" + strings.Join(controllers, ","),
			"--leader-elect=false",
			"--use-service-account-credentials",
			"--service-account-private-key-file=" + p.path("certs", "service-account.key"),
			"--root-ca-file=" + p.path("certs", "ca.crt"),
			"--secure-port=0",
			"--profiling=false",
			// The defaults (20 and 30) make namespaces of parallel tests wait for each other.
			"--kube-api-qps=500",
			"--kube-api-burst=1000",
			"--concurrent-namespace-syncs=30",
			"--concurrent-gc-syncs=30",
		}},
	})
}

// waitUntilServing waits for the API server.
func (p *plane) waitUntilServing(ctx context.Context) error {
	return p.waitFor(ctx, "/readyz")
}

// waitUntilReady waits for the API server, and for a first sign of work from the controller-manager.
func (p *plane) waitUntilReady(ctx context.Context) error {
	return p.waitFor(ctx, "/readyz", "/api/v1/namespaces/default/serviceaccounts/default")
}

func (p *plane) waitFor(ctx context.Context, paths ...string) error {
	client, err := p.adminClient()
	if err != nil {
		return err
	}
	for _, path := range paths {
		for !answers(ctx, client, p.server+path) {
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for %s: %w", path, ctx.Err())
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
	return nil
}

func (p *plane) adminClient() (*http.Client, error) {
	certificate, err := tls.LoadX509KeyPair(p.path("certs", "admin.crt"), p.path("certs", "admin.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(p.path("certs", "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs:      roots,
			Certificates: []tls.Certificate{certificate},
		}},
	}, nil
}

func answers(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// freePorts finds a free port on each of the addresses. Somebody else may take one before it is used;
// holding all of them until the last is found at least keeps them apart from each other.
func freePorts(hosts ...string) ([]string, error) {
	var addresses []string
	for _, host := range hosts {
		listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}
