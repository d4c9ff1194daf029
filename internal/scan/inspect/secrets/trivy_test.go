package secrets

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/esclusa/esclusa/internal/truth"
)

// TestTrivyFixtures says what is found in the fixture files of a third
// scanner: the label is the fixture's name and what it holds.
func TestTrivyFixtures(t *testing.T) {
	dir := truth.Vectors(t, "secrets", "trivy-fixtures")
	want := map[string][]string{
		"alibaba-access-key-id.txt":               {"alibaba-access-key-id"},
		"azure-ai-services-key.txt":               {"azure-ai-services-key"},
		"azure-container-registry-credential.txt": {"azure-container-registry"},
		"azure-devops-pat.txt":                    {"azure-devops-pat"},
		"azure-entra-client-secret.txt":           {"azure-ad-client-secret"},
		"azure-sas-token.txt":                     {"azure-sas-token"},
		"azure-storage-account-key.txt":           {"azure-storage-key"},
		"builtin-rule-secret.txt":                 {"github-pat", "aws-access-token"},
		"crlf-line-endings.txt":                   {"aws-access-token", "github-pat"},
		"docker-secrets.txt":                      {"docker-config-secret", "docker-config-secret"},
		"example-secret.txt":                      {"aws-secret-key"},
		"github-token.txt":                        {"github-fine-grained-pat"},
		"grafana-env.txt":                         {"grafana-api-key", "grafana-api-key"},
		"hugging-face-secret.txt":                 {"huggingface-access-token"},
		"invalid-aws-secrets.txt":                 nil,
		"invalid-utf8.txt":                        {"github-pat"},
		"jwt-secret.txt":                          {"jwt"},
		"long-line-secret.txt":                    {"github-pat"},
		"openai-invalid.txt":                      nil,
		"openai-legacy-api-key.txt":               {"openai-api-key"},
		"openai-project-api-key.txt":              {"openai-api-key"},
		"openai-realtime-client-secret.txt":       {"openai-realtime-secret"},
		"openai-service-account-key.txt":          {"openai-api-key"},
		"openai-service-api-key.txt":              {"openai-api-key"},
		"private-packagist.txt":                   {"packagist-token", "packagist-token", "packagist-token"},
		"settings.xml":                            {"maven-settings-password", "maven-settings-password"},
		"settings-encrypted.xml":                  nil,
		// Rules of the fixture's own configuration; nothing here is a secret
		// by its form: "somevalue", "123456789".
		"secret.txt": nil,
		"secret.md":  nil,
		// "MyAWS_secret_KEY", then tokens glued to words on both sides.
		"wrapped-secrets-sensitive.txt": {"aws-secret-key", "github-fine-grained-pat"},
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		exp, ok := want[e.Name()]
		if !ok {
			continue // configurations of the other scanner
		}
		seen++
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		got := ids(t, e.Name(), string(data))
		slices.Sort(exp)
		slices.Sort(got)
		if d := cmp.Diff(exp, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", e.Name(), d)
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d fixtures are there", seen, len(want))
	}
}
