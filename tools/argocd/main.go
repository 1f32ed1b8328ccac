// Sync applies manifests in the waves of Argo CD: with its own engine for the order and its own scripts for the health of
// custom resources. It prints what became of each object, one JSON object a line, and ends when the sync does or the time
// is over, whichever comes first.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	customizations "github.com/argoproj/argo-cd/v3/resource_customizations"
	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/engine"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
)

const mark = "agentgpu.dev/synced-by-test"

// scripts answers the health of custom resources as Argo CD does, by the script that it ships for a kind.
type scripts struct{}

func (scripts) GetResourceHealth(object *unstructured.Unstructured) (*health.HealthStatus, error) {
	kind := object.GroupVersionKind()
	script, err := customizations.Embedded.ReadFile(fmt.Sprintf("%s/%s/health.lua", kind.Group, kind.Kind))
	if err != nil {
		return nil, nil
	}
	state := lua.NewState()
	defer state.Close()
	state.SetGlobal("obj", value(state, object.Object))
	if err := state.DoString(string(script)); err != nil {
		return nil, err
	}
	answer, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, errors.New("the script answers no table")
	}
	return &health.HealthStatus{
		Status:  health.HealthStatusCode(answer.RawGetString("status").String()),
		Message: answer.RawGetString("message").String(),
	}, nil
}

func value(state *lua.LState, data any) lua.LValue {
	switch each := data.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, inner := range each {
			table.RawSetString(key, value(state, inner))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, inner := range each {
			table.Append(value(state, inner))
		}
		return table
	case string:
		return lua.LString(each)
	case bool:
		return lua.LBool(each)
	case int64:
		return lua.LNumber(each)
	case float64:
		return lua.LNumber(each)
	}
	return lua.LNil
}

func run(file, namespace string, limit time.Duration) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	objects, err := kube.SplitYAML(content)
	if err != nil {
		return err
	}
	for _, object := range objects {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[mark] = "yes"
		object.SetAnnotations(annotations)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	known := cache.NewClusterCache(config, cache.SetPopulateResourceInfoHandler(
		func(object *unstructured.Unstructured, _ bool) (any, bool) {
			return object.GetAnnotations()[mark], object.GetAnnotations()[mark] != ""
		}))
	syncing := engine.NewEngine(config, known)
	stop, err := syncing.Run()
	if err != nil {
		return err
	}
	defer stop()
	within, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	results, err := syncing.Sync(within, objects, func(resource *cache.Resource) bool { return resource.Info == "yes" }, "one",
		namespace, sync.WithHealthOverride(scripts{}), sync.WithServerSideApply(true), sync.WithManifestValidation(false))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	printer := json.NewEncoder(os.Stdout)
	for _, result := range results {
		if err := printer.Encode(map[string]string{
			"kind": result.ResourceKey.Kind, "name": result.ResourceKey.Name, "status": string(result.Status), "message": result.Message,
		}); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	limit, err := time.ParseDuration(os.Args[3])
	if err == nil {
		err = run(os.Args[1], os.Args[2], limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
