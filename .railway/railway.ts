// Son1k on Railway: every service, its replicas by environment, its health, drain and variables. Applied by Railway's own command line:
// `railway config plan`, then `railway config apply`; docs/scaling.md has the steps. It holds no secret: those marked preserve() are set once,
// by you, and kept. It does not scale by load: Railway runs as many replicas as it is told, and the autoscaler tells it.
import { defineRailway, github, group, image, postgres, preserve, project, redis, service, volume } from "railway/iac";

/** The repository that Railway builds: yours. */
const repository = "son1k/son1k";
const branch = "main";
/** One region: the ledger is in it, and each claim goes there. */
const region = "us-west2";
const gigabyte = 1_000_000_000;
/** How many workers an apply leaves in production. The autoscaler changes that number: tell the one that runs, `WORKERS=5 railway config apply`. */
declare const process: { env: Record<string, string | undefined> };
const workers = Number(process.env.WORKERS ?? "3");
if (!Number.isInteger(workers) || workers < 1 || workers > 10) {
  throw new Error("WORKERS must be a whole number, 1 to 10: as many workers as run now");
}

export default defineRailway((ctx) => {
  const production = ctx.isEnvironment("production");
  const replicas = (count: number) => ({ [region]: production ? count : 1 });
  const source = github(repository, { branch });
  /** One Dockerfile for all: SON1K_SERVICE says which of its services this is. */
  const build = {
    builder: "DOCKERFILE" as const,
    dockerfilePath: "deploy/docker/Dockerfile",
    watchPatterns: ["Cargo.*", "crates/**", "config/**", "migrations/**", "deploy/docker/**"],
  };
  const health = { healthcheck: "/readyz", healthcheckTimeout: 300 };
  /** A process ends within 19 s of SIGTERM; without this it would be killed at once. */
  const deploy = { restartPolicyType: "ON_FAILURE" as const, restartPolicyMaxRetries: 10, drainingSeconds: 25 };
  /** Before each deployment: one migrates, the others wait and find nothing to do. */
  const migrate = { preDeployCommand: ["/usr/local/bin/son1k migrate"] };
  const limits = (cpu: number, memory: number) => ({ limitOverride: { containers: { cpu, memoryBytes: memory * gigabyte } } });
  /** The private network speaks IPv6 in older environments, both in newer ones. */
  const everywhere = { HOST: "::", PORT: "8080", LOG_FORMAT: "json", RUST_LOG: "info" };

  const database = postgres("postgres", { region });
  const limiter = redis("redis", { region });
  const brokerData = volume("rabbitmq-data", { region, sizeMB: 5_120 });
  const broker = service("rabbitmq", {
    source: image("rabbitmq:4.1-management"),
    env: {
      RABBITMQ_DEFAULT_USER: "son1k",
      RABBITMQ_DEFAULT_PASS: preserve(),
      // Its data is kept under the node's name, and a container's changes.
      RABBITMQ_NODENAME: "rabbit@localhost",
    },
    volumeMounts: { "/var/lib/rabbitmq": brokerData },
    deploy: { restartPolicyType: "ALWAYS", ...limits(2, 2) },
  });
  const stores = {
    DATABASE_URL: database.env.DATABASE_URL,
    RABBITMQ_URL: "amqp://son1k:${{rabbitmq.RABBITMQ_DEFAULT_PASS}}@${{rabbitmq.RAILWAY_PRIVATE_DOMAIN}}:5672/%2f",
  };

  /** Outside production everything runs against the simulator. */
  const simulator = service("simulator", {
    source,
    build,
    ...health,
    replicas: { [region]: 1 },
    deploy: { ...deploy, ...limits(1, 1) },
    env: { ...everywhere, SON1K_SERVICE: "simulator", SIMULATOR_PUBLIC_URL: "http://${{RAILWAY_PRIVATE_DOMAIN}}:8080" },
  });
  const upstream = production
    ? { SUNO_API_URL: preserve(), UPSTREAM_DIALECT: preserve() }
    : { SUNO_API_URL: "http://${{simulator.RAILWAY_PRIVATE_DOMAIN}}:8080", UPSTREAM_DIALECT: "suno" };

  // Two services rather than two replicas: a follower answers with its leader's address, and replicas of one service share theirs.
  const pool = service("token-pool", {
    source,
    build,
    ...health,
    replicas: { [region]: 1 },
    deploy: { ...deploy, ...migrate, ...limits(1, 1) },
    env: {
      ...everywhere,
      ...stores,
      ...upstream,
      SON1K_SERVICE: "token-pool",
      GRPC_PORT: "50051",
      GRPC_ADVERTISE_URL: "http://${{RAILWAY_PRIVATE_DOMAIN}}:50051",
      DATABASE_POOL_MIN: "2",
      DATABASE_POOL_MAX: "8",
      MIN_TOKENS: "50",
      MAX_TOKENS: "2000",
      TOKEN_ENCRYPTION_KEYS: preserve(),
      INTERNAL_AUTH_SECRET: preserve(),
    },
  });
  const standby = service("token-pool-standby", {
    source,
    build,
    ...health,
    replicas: { [region]: 1 },
    deploy: { ...deploy, ...limits(1, 1) },
    env: {
      ...everywhere,
      ...stores,
      ...upstream,
      SON1K_SERVICE: "token-pool",
      GRPC_PORT: "50051",
      GRPC_ADVERTISE_URL: "http://${{RAILWAY_PRIVATE_DOMAIN}}:50051",
      DATABASE_POOL_MIN: "2",
      DATABASE_POOL_MAX: "8",
      MIN_TOKENS: "50",
      MAX_TOKENS: "2000",
      TOKEN_ENCRYPTION_KEYS: pool.env.TOKEN_ENCRYPTION_KEYS,
      INTERNAL_AUTH_SECRET: pool.env.INTERNAL_AUTH_SECRET,
    },
  });
  const pools = production
    ? "http://${{token-pool.RAILWAY_PRIVATE_DOMAIN}}:50051,http://${{token-pool-standby.RAILWAY_PRIVATE_DOMAIN}}:50051"
    : "http://${{token-pool.RAILWAY_PRIVATE_DOMAIN}}:50051";
  const leases = { TOKEN_POOL_URL: pools, INTERNAL_AUTH_SECRET: pool.env.INTERNAL_AUTH_SECRET };

  const gateway = service("gateway", {
    source,
    build,
    ...health,
    replicas: replicas(2),
    deploy: { ...deploy, ...migrate, overlapSeconds: 20, ...limits(2, 1) },
    env: {
      ...everywhere,
      ...stores,
      ...leases,
      SON1K_SERVICE: "gateway",
      // /metrics, /admin/v1 and /console are answered within the private network alone.
      OPS_PORT: "9100",
      REDIS_URL: limiter.env.REDIS_URL,
      DATABASE_POOL_MAX: "32",
      // Railway's edge comes from here and says for whom.
      TRUSTED_PROXIES: "100.64.0.0/10",
      ADMIN_API_KEY: preserve(),
      SYSTEM_API_KEY: preserve(),
      API_KEY_PEPPER: preserve(),
    },
  });
  const worker = service("worker", {
    source,
    build,
    ...health,
    replicas: replicas(workers),
    deploy: { ...deploy, ...migrate, ...(production ? limits(4, 8) : limits(2, 2)) },
    env: {
      ...everywhere,
      ...stores,
      ...leases,
      ...upstream,
      SON1K_SERVICE: "worker",
      DATABASE_POOL_MAX: "16",
      GENERATION_CONCURRENCY: "50",
      GENERATION_RATE_LIMIT: "100",
    },
  });

  // In production it scales the worker, and may touch nothing else; elsewhere it says what it would do.
  const autoscaler = service("autoscaler", {
    source,
    build,
    ...health,
    replicas: { [region]: 1 },
    deploy: { ...deploy, ...limits(1, 1) },
    env: {
      ...everywhere,
      SON1K_SERVICE: "autoscaler",
      DATABASE_URL: database.env.DATABASE_URL,
      DATABASE_POOL_MIN: "1",
      DATABASE_POOL_MAX: "4",
      SCALING_CONTROLLER: production ? "railway" : "advise",
      SCALING_MIN: "1",
      SCALING_MAX: "10",
      ...(production
        ? {
            RAILWAY_TOKEN: preserve(),
            RAILWAY_WORKER_SERVICE_ID: worker.env.RAILWAY_SERVICE_ID,
          }
        : {}),
    },
  });

  const own = production ? [gateway, worker, pool, standby, autoscaler] : [gateway, worker, pool, autoscaler, simulator];
  return project("son1k", { resources: [group("Son1k", own), group("Stores", [database, limiter, broker]), brokerData] });
});
