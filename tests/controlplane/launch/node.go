package launch

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// A node that really runs Pods: containerd with runc and CNI, which have to be installed, kubelet and kube-proxy. It needs
// root, and containers outlive it, with what they have mounted: so it belongs into namespaces of its own for processes,
// mounts and network, and into a cgroup of its own (hack/test-pods). There is no DNS but what answers at port 53 of the
// node's address.

const (
	nodeName = "node"
	podCIDR  = "10.88.0.0/16"
)

// folders of CNI plugins, as distributions have them.
var cniFolders = []string{"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"}

//go:embed node
var nodeFiles embed.FS

// nodeSettings are what the files of a node are filled in with.
type nodeSettings struct {
	Dir, Address, Cgroup, PodCIDR, CNI string
}

func (p *plane) prepareNode() error {
	if p.node == "" {
		return nil
	}
	settings := nodeSettings{Dir: p.dir, Address: p.node, Cgroup: p.cgroup, PodCIDR: podCIDR}
	for _, folder := range cniFolders {
		if _, err := os.Stat(filepath.Join(folder, "bridge")); err == nil {
			settings.CNI = folder
		}
	}
	if settings.CNI == "" {
		return fmt.Errorf("no CNI plugins in %s: install containernetworking-plugins", strings.Join(cniFolders, ", "))
	}
	errs := []error{p.writeNodeFiles(settings)}
	for _, client := range []string{"scheduler", "kubelet", "proxy"} {
		errs = append(errs, p.writeKubeconfig(p.path(client+".kubeconfig"), client))
	}
	return errors.Join(errs...)
}

func (p *plane) writeNodeFiles(settings nodeSettings) error {
	files, err := template.ParseFS(nodeFiles, "node/*")
	if err != nil {
		return err
	}
	for _, file := range files.Templates() {
		path := p.path("node", file.Name())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		out, err := os.Create(path)
		if err != nil {
			return err
		}
		if err := errors.Join(file.Execute(out, settings), out.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (p *plane) writeNodeCertificates(ca *authority) error {
	if p.node == "" {
		return nil
	}
	return errors.Join(
		ca.client("scheduler", "system:kube-scheduler"),
		ca.client("kubelet", "system:node:"+nodeName, "system:nodes"),
		ca.client("proxy", "system:kube-proxy"),
		ca.client("apiserver-to-kubelet", "apiserver-to-kubelet", "system:masters"),
	)
}

// withNode adds to a control plane what runs Pods.
func (p *plane) withNode(components []component) []component {
	if p.node == "" {
		return components
	}
	more := map[string][]string{
		"kube-apiserver": {
			"--endpoint-reconciler-type=lease", // of a flag that is there twice, the later one counts
			"--kubelet-client-certificate=" + p.path("certs", "apiserver-to-kubelet.crt"),
			"--kubelet-client-key=" + p.path("certs", "apiserver-to-kubelet.key"),
			"--kubelet-preferred-address-types=InternalIP",
		},
		"kube-controller-manager": {"--controllers=*"}, // and lists are added up
	}
	for i := range components {
		components[i].args = append(components[i].args, more[components[i].name]...)
	}
	return append(components,
		component{"kube-scheduler", []string{
			"--kubeconfig=" + p.path("scheduler.kubeconfig"),
			"--leader-elect=false",
			"--secure-port=0",
		}},
		component{"containerd", []string{"--config=" + p.path("node", "containerd.toml")}},
		component{"kubelet", []string{
			"--config=" + p.path("node", "kubelet.yaml"),
			"--kubeconfig=" + p.path("kubelet.kubeconfig"),
			"--root-dir=" + p.path("kubelet"),
			"--cert-dir=" + p.path("kubelet", "pki"),
			"--hostname-override=" + nodeName,
			"--node-ip=" + p.node,
		}},
		component{"kube-proxy", []string{
			"--kubeconfig=" + p.path("proxy.kubeconfig"),
			"--proxy-mode=iptables",
			"--cluster-cidr=" + podCIDR,
			"--hostname-override=" + nodeName,
			// It is the host's to set.
			"--conntrack-max-per-core=0",
		}},
	)
}
