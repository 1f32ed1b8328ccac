// A host of Node programs for Pulumi's engine. The released one is a module without a version that the proxy of Go modules
// has. This one has the parts that a project needs of it: packages come from the generator that the released host calls, they
// are put into a project and installed by the same library of npm's commands, and programs are run by the runner of Pulumi's own
// library for Node, which type-checks TypeScript before it runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/pulumi/pulumi/pkg/v3/codegen/nodejs"
	"github.com/pulumi/pulumi/pkg/v3/codegen/schema"
	"github.com/pulumi/pulumi/sdk/v3/nodejs/npm"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	version = "3.259.0"                             // of the module whose generator this is
	runner  = "node_modules/@pulumi/pulumi/cmd/run" // below the project's folder
	largest = 400 << 20                             // message of the engine's, in bytes
	told    = 32                                    // the runner's exit code once it has told the user what failed
)

type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	engine string
}

func main() {
	served := &host{engine: os.Args[len(os.Args)-1]}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	server := grpc.NewServer(grpc.MaxRecvMsgSize(largest), grpc.MaxSendMsgSize(largest))
	pulumirpc.RegisterLanguageRuntimeServer(server, served)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	check(server.Serve(listener))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (*host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: version}, nil
}

// Providers are found on the path, so a program needs none to be fetched.
func (*host) GetRequiredPackages(
	context.Context, *pulumirpc.GetRequiredPackagesRequest,
) (*pulumirpc.GetRequiredPackagesResponse, error) {
	return &pulumirpc.GetRequiredPackagesResponse{}, nil
}

func (*host) GeneratePackage(
	_ context.Context, request *pulumirpc.GeneratePackageRequest,
) (*pulumirpc.GeneratePackageResponse, error) {
	loader, err := schema.NewLoaderClient(request.LoaderTarget)
	if err != nil {
		return nil, err
	}
	var spec schema.PackageSpec
	if err := json.Unmarshal([]byte(request.Schema), &spec); err != nil {
		return nil, err
	}
	bound, diagnostics, err := schema.BindSpec(spec, loader, schema.ValidationOptions{AllowDanglingReferences: true})
	if err != nil {
		return nil, err
	}
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	files, err := nodejs.GeneratePackage(
		"pulumi-language-nodejs", bound, request.ExtraFiles, request.LocalDependencies, request.Local, loader)
	if err != nil {
		return nil, err
	}
	for name, content := range files {
		path := filepath.Join(request.Directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, err
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			return nil, err
		}
	}
	return &pulumirpc.GeneratePackageResponse{}, nil
}

// Link writes generated packages into the project's package.json, each by the name that it has itself.
func (*host) Link(ctx context.Context, request *pulumirpc.LinkRequest) (*pulumirpc.LinkResponse, error) {
	project := request.Info.ProgramDirectory
	manager, err := npm.ResolvePackageManager(npm.AutoPackageManager, project)
	if err != nil {
		return nil, err
	}
	instructions := "Import it with:\n\n"
	for _, each := range request.Packages {
		content, err := os.ReadFile(filepath.Join(project, each.Path, "package.json"))
		if err != nil {
			return nil, err
		}
		var described struct{ Name string }
		if err := json.Unmarshal(content, &described); err != nil {
			return nil, err
		}
		if err := manager.Link(ctx, project, described.Name, each.Path); err != nil {
			return nil, err
		}
		instructions += fmt.Sprintf("  import * as %s from %q;\n", each.Package.Name, described.Name)
	}
	return &pulumirpc.LinkResponse{ImportInstructions: instructions}, nil
}

// InstallDependencies has npm install what package.json names, which compiles generated packages.
func (*host) InstallDependencies(
	request *pulumirpc.InstallDependenciesRequest, stream grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	said := teller{stream: stream}
	_, err := npm.Install(stream.Context(), npm.AutoPackageManager, request.Info.ProgramDirectory, false, said, said)
	return err
}

// A teller hands on what a command says. Both streams of a command go to one: the standard library then writes from one place.
type teller struct {
	stream grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse]
}

func (to teller) Write(said []byte) (int, error) {
	return len(said), to.stream.Send(&pulumirpc.InstallDependenciesResponse{Stdout: said})
}

func (host *host) Run(ctx context.Context, request *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	config, err := json.Marshal(request.Config)
	if err != nil {
		return nil, err
	}
	secrets, err := json.Marshal(request.ConfigSecretKeys)
	if err != nil {
		return nil, err
	}
	words := []string{
		filepath.Join(request.Info.RootDirectory, runner),
		"--monitor", request.MonitorAddress, "--engine", host.engine, "--organization", request.Organization,
		"--project", request.Project, "--stack", request.Stack, "--pwd", request.Info.ProgramDirectory,
		"--parallel", fmt.Sprint(request.Parallel),
	}
	if request.DryRun {
		words = append(words, "--dry-run")
	}
	program := exec.CommandContext(ctx, "node", append(words, request.Info.EntryPoint)...)
	program.Dir = request.Info.ProgramDirectory
	program.Env = append(os.Environ(), "PULUMI_NODEJS_TYPESCRIPT=true",
		"PULUMI_CONFIG="+string(config), "PULUMI_CONFIG_SECRET_KEYS="+string(secrets))
	program.Stdout, program.Stderr = os.Stdout, os.Stderr
	err = program.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return &pulumirpc.RunResponse{}, nil
	case errors.As(err, &exit) && exit.ExitCode() == told:
		return &pulumirpc.RunResponse{Bail: true}, nil
	default:
		return &pulumirpc.RunResponse{Error: "the program failed: " + err.Error()}, nil
	}
}
