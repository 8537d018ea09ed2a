// The official JavaScript SDK against the local TagoIO: the scenario of test_cloud_sdk.py. Run by run.py.
import assert from "node:assert/strict";
import { Device, Resources } from "@tago-io/sdk";

const { CLOUD_URL, CLOUD_ACCOUNT_TOKEN } = process.env;
const region = { api: CLOUD_URL, sse: CLOUD_URL };
const { devices } = new Resources({ token: CLOUD_ACCOUNT_TOKEN, region });
let steps = 0;

async function step(name, run) {
  try {
    await run();
    steps += 1;
  } catch (error) {
    console.error(`${name}: ${error?.stack ?? JSON.stringify(error)}`);
    process.exit(1);
  }
}

async function refused(call, pattern) {
  await assert.rejects(call, (error) => pattern.test(typeof error === "string" ? error : JSON.stringify(error)));
}

let id, token, device, other;

await step("create device", async () => {
  const made = await devices.create({
    name: "js greenhouse",
    type: "mutable",
    network: "5bbd0d144051a50034cd19fb",
    connector: "5f5a8f3351d4db99c40dece5",
    serie_number: "JS 1",
    tags: [{ key: "site", value: "north" }],
    configuration_params: [{ key: "rate", value: "60", sent: false }],
  });
  ({ device_id: id, token } = made);
  assert.match(id, /^[0-9a-f]{24}$/);
  device = new Device({ token, region });
  assert.equal((await device.info()).name, "js greenhouse");
  other = await devices.create({ name: "js other", type: "immutable", chunk_period: "month", chunk_retention: 3 });
});

await step("list, info, edit", async () => {
  const found = await devices.list({
    page: 1,
    amount: 10,
    fields: ["id", "name", "tags", "active", "created_at"],
    filter: { name: "JS*", tags: [{ key: "site", value: "north" }] },
    orderBy: ["created_at", "desc"],
  });
  assert.deepEqual(found.map((row) => row.name), ["js greenhouse"]);
  assert.ok(found[0].created_at instanceof Date);
  assert.equal((await devices.list({ serial: "JS 1" }))[0].id, id);
  assert.equal(await devices.edit(id, { description: "by the door", active: true }), "Successfully Updated");
  const info = await devices.info(id);
  assert.equal(info.description, "by the door");
  assert.deepEqual(info.bucket, { id, name: "js greenhouse" });
  const names = [];
  for await (const rows of devices.listStreaming({ filter: { name: "js*" } })) names.push(...rows.map((row) => row.name));
  assert.deepEqual(names.sort(), ["js greenhouse", "js other"]);
});

await step("tokens", async () => {
  const made = await devices.tokenCreate(id, { name: "reader", permission: "read", expire_time: "1 day" });
  const rows = await devices.tokenList(id, { fields: ["name", "token", "permission", "serie_number"] });
  assert.deepEqual(rows.map((row) => row.permission).sort(), ["full", "read"]);
  assert.equal(rows.find((row) => row.token === token).serie_number, "JS 1");
  const reader = new Device({ token: made.token, region });
  await reader.getData();
  await refused(() => reader.sendData({ variable: "a", value: 1 }), /Authorization denied/);
  assert.match(await devices.tokenDelete(made.token), /Successfully Removed/);
  await refused(() => reader.info(), /Authorization denied/);
});

await step("send", async () => {
  assert.equal(await device.sendData({ variable: "temperature", value: 21.5, unit: "C", time: new Date() }), "1 Data Added");
  const rows = Array.from({ length: 20 }, (_, n) => ({
    variable: "humidity",
    value: n,
    group: `g${n}`,
    location: { lat: 42.3, lng: -85.6 },
    metadata: { n },
  }));
  assert.equal(await device.sendData(rows), "20 Data Added");
  assert.equal(await devices.sendDeviceData(other.device_id, { variable: "kept", value: true }), "1 Data Added");
});

await step("every query", async () => {
  assert.equal((await device.getData()).length, 15);
  const both = await device.getData({ variables: ["humidity", "temperature"], qty: 1 });
  assert.deepEqual(both.map((row) => row.variable).sort(), ["humidity", "temperature"]);
  assert.ok(both[0].time instanceof Date);
  for (const query of ["last_item", "last_value", "last_insert", "first_item", "first_value", "first_insert", "min", "max"]) {
    const rows = await device.getData({ query, variables: "humidity" });
    const low = query.startsWith("first") || query === "min";
    assert.deepEqual(rows.map((row) => row.value), [low ? 0 : 19], query);
  }
  for (const query of ["last_location", "first_location"]) {
    const [row] = await device.getData({ query });
    assert.deepEqual(row.location.coordinates, [-85.6, 42.3], query);
  }
  const span = { variables: "humidity", start_date: "1 day", end_date: "1 hour" };
  const numbers = { count: 20, sum: 190, avg: 9.5 };
  for (const [query, expected] of Object.entries(numbers)) {
    const result = await device.getData({ query, ...span });
    assert.equal(Array.isArray(result) ? result[0].value : result, expected, query);
  }
  const buckets = await device.getData({ query: "aggregate", function: "sum", interval: "year", ...span });
  assert.equal(buckets.reduce((total, bucket) => total + bucket.value, 0), 190);
  const some = await device.getData({ query: "conditional", function: "gte", value: 15, ...span });
  assert.deepEqual(some.map((row) => row.value).sort(), [15, 16, 17, 18, 19]);
  assert.deepEqual((await device.getData({ groups: "g7" })).map((row) => row.value), [7]);
  assert.deepEqual((await device.getData({ values: 3, variables: "humidity" })).map((row) => row.value), [3]);
  const page = { variables: "humidity", qty: 2, skip: 1, ordination: "ascending" };
  assert.deepEqual((await device.getData(page)).map((row) => row.value), [1, 2]);
  assert.ok((await device.getData({ qty: 1, details: true }))[0].created_at);
  const day = new Date(Date.now() - 3600_000);
  assert.equal((await device.getData({ variables: "humidity", start_date: day, qty: 100 })).length, 20);
  assert.equal((await devices.getDeviceData(id, { variables: "humidity", qty: 5 })).length, 5);
  assert.equal(await devices.amount(id), 21);
});

await step("edit and delete data", async () => {
  const [row] = await device.getData({ variables: "temperature" });
  assert.equal(await device.editData({ id: row.id, value: 22 }), "1 item(s) updated");
  assert.equal((await device.getData({ ids: [row.id] }))[0].value, 22);
  assert.equal(await devices.editDeviceData(id, [{ id: row.id, value: 23 }]), "1 item(s) updated");
  assert.equal(await device.deleteData({ variables: "humidity", qty: 5 }), "5 Data Removed");
  assert.equal(await device.deleteData(), "2 Data Removed");
  assert.equal(await devices.deleteDeviceData(id, { variables: "humidity", qty: 1 }), "1 Data Removed");
  await devices.emptyDeviceData(id);
  assert.equal(await devices.amount(id), 0);
  const kept = new Device({ token: other.token, region });
  await refused(() => kept.deleteData({ qty: 1 }), /immutable devices cannot be deleted/);
  await refused(() => kept.editData({ id, value: 1 }), /cannot edit data on immutable device/);
});

await step("parameters", async () => {
  const [rate] = await device.getParameters("onlyUnRead");
  assert.deepEqual([rate.key, rate.value, rate.sent], ["rate", "60", false]);
  assert.equal(await device.setParameterAsRead(rate.id), "Params Successfully Updated");
  assert.deepEqual(await device.getParameters("onlyUnRead"), []);
  await devices.paramSet(id, { key: "rate", value: "30", sent: false }, rate.id);
  assert.equal((await devices.paramList(id, false))[0].value, "30");
  await devices.paramSet(id, { key: "more", value: "x", sent: false });
  assert.equal((await device.getParameters()).length, 2);
  assert.equal(await devices.paramRemove(id, rate.id), "Successfully Removed");
  assert.deepEqual((await devices.paramList(id)).map((row) => row.key), ["more"]);
});

await step("errors", async () => {
  await refused(() => device.sendData({ variable: "a", unit: 5 }), /unit must be a string/);
  await refused(() => device.getData({ query: "newest" }), /Invalid query/);
  await refused(() => devices.create({ name: "ab" }), /name must have 3 to 100 characters/);
  await refused(() => devices.info("0".repeat(24)), /Invalid Device ID/);
  await refused(() => new Device({ token: "wrong", region }).info(), /Authorization denied/);
  await devices.edit(id, { active: false });
  await refused(() => device.info(), /Device is deactivated/);
});

await step("delete", async () => {
  for (const each of [id, other.device_id]) assert.equal(await devices.delete(each), "Successfully Removed");
  await refused(() => device.info(), /Authorization denied/);
});

console.log(`@tago-io/sdk: ${steps} steps`);
