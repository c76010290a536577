/** A PostgreSQL database of one test, on the server that `scripts/postgres.sh` starts for all tests. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { promisify } from "node:util";

export class Database {
  private constructor(
    private readonly serverUrl: string,
    private readonly name: string,
  ) {}

  static async create(): Promise<Database> {
    const server = process.env["RIALTO_TEST_DATABASE_URL"];
    if (server === undefined) throw new Error("several nodes need PostgreSQL: scripts/e2e.sh --nodes N");
    const database = new Database(server, `rialto_${randomUUID().replaceAll("-", "")}`);
    await database.executeSql(`CREATE DATABASE ${database.name}`);
    return database;
  }

  get url(): string {
    const url = new URL(this.serverUrl);
    url.pathname = `/${this.name}`;
    return url.href;
  }

  async drop(): Promise<void> {
    await this.executeSql(`DROP DATABASE ${this.name} WITH (FORCE)`);
  }

  private async executeSql(sql: string): Promise<void> {
    await promisify(execFile)("psql", ["--no-psqlrc", "--quiet", "--command", sql, this.serverUrl]);
  }
}
