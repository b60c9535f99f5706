/**
 * `node --import <this file> …` with `KEELSON_PLANT=NAME,NAME` (planted bugs) and `KEELSON_FAILPOINT=JSON` (failpoints): what the process
 * loads comes patched. Nothing in the product knows of it.
 */
import { parseOrders } from './failpoint.ts';
import { installPlants } from './install.ts';

const plants = (process.env['KEELSON_PLANT'] ?? '').split(',').filter((name) => name !== '');
const orders = process.env['KEELSON_FAILPOINT'];
installPlants(plants, orders === undefined || orders === '' ? undefined : parseOrders(orders));
