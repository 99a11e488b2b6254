// The control plane with what a node needs besides: kube-scheduler, kubelet and kube-proxy. A program of its own, as only
// the tests with real Pods need it.
package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"pguser.dev/controlplane/components"
)

func main() {
	all := components.ControlPlane()
	all["kube-scheduler"] = components.Command(func() *cobra.Command { return scheduler.NewSchedulerCommand() })
	all["kubelet"] = components.Command(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) })
	all["kube-proxy"] = components.Command(proxy.NewProxyCommand)
	os.Exit(all.Main())
}
