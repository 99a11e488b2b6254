package launch

import (
	"encoding/base64"
	"fmt"
	"os"
)

const kubeconfigFormat = `apiVersion: v1
kind: Config
clusters:
- name: test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: test
  context: {cluster: test, user: %s}
current-context: test
`

// writeKubeconfig writes a kubeconfig, complete in itself, for the client whose certificate has the name.
func (p *plane) writeKubeconfig(file, client string) error {
	var encoded []any
	for _, name := range []string{"ca.crt", client + ".crt", client + ".key"} {
		content, err := os.ReadFile(p.path("certs", name))
		if err != nil {
			return err
		}
		encoded = append(encoded, base64.StdEncoding.EncodeToString(content))
	}
	text := fmt.Sprintf(kubeconfigFormat, p.server, encoded[0], client, encoded[1], encoded[2], client)
	return os.WriteFile(file, []byte(text), 0o600)
}
